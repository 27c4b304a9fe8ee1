"""Reports of methods that initialize by data, as tables and figures."""
