"""Layer studies: which layer knows what, with baselines that say what the numbers mean."""
