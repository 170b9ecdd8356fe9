"""Trained heads meet raw text: words and their places in it, tags to entities."""
