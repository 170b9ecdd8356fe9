"""Raw files to prepared corpora: one module per format, validation, splits, the report."""
