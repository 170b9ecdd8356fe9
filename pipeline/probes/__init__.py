"""Linear probes: what a linear model makes of the states that a head reads."""
