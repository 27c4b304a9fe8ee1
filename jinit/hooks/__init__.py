"""Networks of every kind as Models; no other package of jinit imports Flax."""

from jinit.hooks.as_model import as_model

__all__ = ["as_model"]
