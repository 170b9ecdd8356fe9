"""Prepared corpora: texts and labels, kept apart; folds, tagging schemes and spans."""
