"""Questions about a corpus and an encoder that take more than one head to answer."""
