"""Setting a project up: demo data, downloads, and rows of params.yaml from a look at a file."""
