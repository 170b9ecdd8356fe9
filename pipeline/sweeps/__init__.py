"""Sweeps: many trials of one head, what is searched, by which workers, and what is kept of it."""
