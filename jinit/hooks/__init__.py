"""The only room that imports Flax: networks of every kind as Models."""

from jinit.hooks.as_model import as_model

__all__ = ["as_model"]
