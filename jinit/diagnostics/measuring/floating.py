"""Floating-point arrays, and the precision in which their statistics are computed."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model import PyTree


def is_floating(leaf: Any) -> bool:
    """Return True if an array or an abstract array holds floating-point numbers."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def floating_leaves(tree: PyTree) -> list[Any]:
    """Return the leaves of a tree that hold floating-point numbers."""
    return [leaf for leaf in jax.tree.leaves(tree) if is_floating(leaf)]


def widen(value: Array) -> Array:
    """Return an array in its own precision or in float32, whichever is higher."""
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))
