"""Raw corpora to texts and labels, kept apart: one module per format, validation, splits."""
