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
      TypeError: if an input is a bare shape such as `(8, 4)`, a flag or a list of numbers.

    >>> abstract_inputs("trace", [jax.numpy.ones((8, 4))])
    (ShapeDtypeStruct(shape=(8, 4), dtype=float32),)
    """
    for number, example in enumerate(inputs, 1):
        if isinstance(example, bool):
            raise TypeError(
                f"{name}: input {number} is {example}, a flag that no array can stand for: give it "
                f"by name, such as train={example}, or trace a function that has it"
            )
        if _is_nested_numbers(example):
            raise TypeError(
                f"{name}: input {number} is a list of numbers; expected an array: give "
                "jnp.asarray(...) of it"
            )
        if _is_bare_shape(example):
            shape = tuple(example)
            raise TypeError(
                f"{name}: input {number} is {example}, which looks like a shape; expected an array "
                f"or a shape with a dtype, such as jax.ShapeDtypeStruct({shape}, jnp.float32) or "
                f"jnp.zeros({shape})"
            )
    return jax.eval_shape(lambda *values: values, *inputs)


def _is_nested_numbers(example: Any) -> bool:
    """Return whether an input is a list of lists of numbers, or of numbers that are no sizes."""
    if not isinstance(example, tuple | list) or not example:
        return False
    first = example[0]
    while isinstance(first, tuple | list) and first:
        first = first[0]
    return isinstance(first, float) or (isinstance(first, int) and first is not example[0])


def _is_bare_shape(example: Any) -> bool:
    return (
        isinstance(example, tuple | list)
        and len(example) > 0
        and all(type(size) is int for size in example)
    )
