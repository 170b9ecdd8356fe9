"""Training a head on cached features: batches, states, schedule, loop, fit."""
