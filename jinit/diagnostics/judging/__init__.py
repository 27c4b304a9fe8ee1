"""Compare measurements with theory: expectations, findings, causes and cures."""
