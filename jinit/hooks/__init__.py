"""The only room that knows Flax: anything that builds a network becomes a Model."""

from jinit.hooks.door import as_model

__all__ = ["as_model"]
