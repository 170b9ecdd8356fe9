"""One module per benchmark: interleaved contestants, medians, ratios; never part of the tests."""

import pipeline.core  # noqa: F401  (sets OpenMP and MKL up, before torch is imported)
