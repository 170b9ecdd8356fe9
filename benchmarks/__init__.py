"""One module per benchmark: interleaved contestants, medians, ratios; never part of the tests."""
