"""Whole models started, each in a process of its own."""
