"""Features as training reads them: the file format, its checksums and its reader."""
