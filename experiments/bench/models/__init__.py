"""Initialization of whole models, each in a separate process."""
