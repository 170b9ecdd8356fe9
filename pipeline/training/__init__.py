"""Training a head on cached features: batches, loop, checkpoint."""
