"""Many trials of one head in one process: what is searched, by whom, and what is kept of it."""
