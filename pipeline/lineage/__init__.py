"""Where a file came from: its digest in the history of dvc.lock, and how to make it again."""
