"""Predictions and labels to numbers; pure functions that import no torch."""
