"""Frozen encoders: where they come from, how they tokenise, and their forward pass."""
