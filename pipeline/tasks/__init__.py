"""Label types: targets, metrics and baselines of everything that a head can learn."""
