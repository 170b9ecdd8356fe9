"""Text to features: plan the rows, compute what the store lacks, assemble the rest from it."""
