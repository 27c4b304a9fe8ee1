"""Arrays in Flax's boxes, which a wrapped initializer `(key, shape, dtype)` may return."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jax import Array

InitFunction = Callable[..., Any]
"""Any function `(key, shape, dtype)` that returns an array, or a box that holds one."""


def map_boxed(change: Callable[[Array], Array], value: Any) -> Any:
    """Return the value with its array changed, in the same box if it had one."""
    if isinstance(value, Array):
        return change(value)
    if not jax.tree_util.all_leaves([value]):
        return jax.tree.map(change, value)
    return dataclasses.replace(value, raw_value=change(value.raw_value))  # nnx.with_metadata


def unbox_array(value: Any) -> Array:
    """Return the array, without the box around it."""
    if isinstance(value, Array):
        return value
    leaves = jax.tree.leaves(value)
    return leaves[0] if isinstance(leaves[0], Array) else value.raw_value


def check_callable(initializer: object) -> InitFunction:
    """Return the initializer to be wrapped; raise a TypeError if it cannot be called."""
    if callable(initializer):
        return initializer
    raise TypeError(
        f"initializer: expected a function (key, shape, dtype) -> Array such as "
        f"jinit.he_normal(), got {initializer!r}"
    )
