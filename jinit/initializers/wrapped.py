"""What combinators wrap: any function `(key, shape, dtype)`, whatever box its value comes in."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jax import Array

Base = Callable[..., Any]


def on_value(change: Callable[[Array], Array], drawn: Any) -> Any:
    """`change` the array, wherever it is boxed."""
    if isinstance(drawn, Array):
        return change(drawn)
    if not jax.tree_util.all_leaves([drawn]):
        return jax.tree.map(change, drawn)
    return dataclasses.replace(drawn, raw_value=change(drawn.raw_value))  # nnx.with_metadata's


def unboxed(drawn: Any) -> Array:
    """The array itself, out of its box."""
    if isinstance(drawn, Array):
        return drawn
    leaves = jax.tree.leaves(drawn)
    return leaves[0] if isinstance(leaves[0], Array) else drawn.raw_value


def callable_base(initializer: object) -> Base:
    """What is to be wrapped, if it can be called."""
    if callable(initializer):
        return initializer
    raise TypeError(
        f"initializer: expected a function (key, shape, dtype) -> Array such as "
        f"jinit.he_normal(), got {initializer!r}"
    )
