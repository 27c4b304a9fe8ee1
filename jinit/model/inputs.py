"""Example inputs of a network as shapes."""

from collections.abc import Sequence
from typing import Any

import jax

from jinit.model.params import PyTree


def abstract_inputs(name: str, inputs: Sequence[PyTree]) -> tuple[PyTree, ...]:
    """Return example inputs with a `jax.ShapeDtypeStruct` in place of every array.

    Args:
      name: name of the function that was given them, for the message.
      inputs: arrays, shapes, or trees of them.

    Raises:
      TypeError: if an input is a bare shape such as `(8, 4)`.

    >>> abstract_inputs("trace", [jax.numpy.ones((8, 4))])
    (ShapeDtypeStruct(shape=(8, 4), dtype=float32),)
    """
    for number, example in enumerate(inputs, 1):
        if _is_bare_shape(example):
            shape = tuple(example)
            raise TypeError(
                f"{name}: input {number} is {example}, which looks like a shape; expected an array "
                f"or a shape with a dtype, such as jax.ShapeDtypeStruct({shape}, jnp.float32) or "
                f"jnp.zeros({shape})"
            )
    return jax.eval_shape(lambda *values: values, *inputs)


def _is_bare_shape(example: Any) -> bool:
    return (
        isinstance(example, tuple | list)
        and len(example) > 0
        and all(type(size) is int for size in example)
    )
