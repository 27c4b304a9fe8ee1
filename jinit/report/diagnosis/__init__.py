"""Diagnoses as text, tables, HTML and figures."""
