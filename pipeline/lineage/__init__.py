"""Lineage of a file: its digest in the history of dvc.lock, and how to make it again."""
