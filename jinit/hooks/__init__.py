"""Networks of every kind as Models; no other package of jinit imports Flax."""

from jinit.hooks.as_model import as_model
from jinit.hooks.diagnosed import NetworkCall, read_network

__all__ = ["NetworkCall", "as_model", "read_network"]
