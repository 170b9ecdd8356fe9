"""One module per benchmark: interleaved contestants, medians, ratios; never part of the tests."""

import stages  # noqa: F401  (sets OpenMP and MKL up as for the stages, before torch is imported)
