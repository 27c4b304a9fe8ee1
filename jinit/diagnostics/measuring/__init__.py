"""Measure a network in one forward and one backward pass."""
