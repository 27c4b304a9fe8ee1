"""The HTML page of a sweep: one file per group of sections."""
