"""Sizes of matrix products and of vectors for which a row's bits do not depend on its company.

Found by measuring, on x86-64 CPUs of Intel and AMD; encoders and heads fill up to them alike.
"""

from __future__ import annotations

MINIMUM_ROWS = 16
"""Least rows of a matrix product. CPUs take other kernels for products with fewer rows, whose last
bits differ, so that a row of a small batch would have other bits than the same row of a large one.
"""

VECTOR_WIDTH = 16
"""Numbers that CPUs treat at once, in float32 with AVX-512; other vectors hold a divisor of it.
Those left over are treated by other instructions, and differ in the last bit."""
