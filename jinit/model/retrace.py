"""A model for another number of examples."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from jinit.model.model import Model
from jinit.model.params import PyTree

_Shape = tuple[int, ...]


def trace_for(model: Model, inputs: Sequence[PyTree]) -> Model:
    """Return the model as it is traced with inputs that differ from its own in axis 0 only.

    Inputs that differ in anything else, or in nothing, give the model itself. Equal shapes give one
    object, so that programs are compiled once.

    Args:
      model: the traced network.
      inputs: its inputs, or abstract ones; what follows them, such as targets, is not looked at.

    Raises:
      ValueError: if the network cannot be called with this number of examples.

    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: x @ w, jnp.ones((4, 3)), jnp.ones((2, 4)))
    >>> trace_for(model, [jnp.ones((8, 4))]).inputs[0].shape
    (8, 4)
    """
    given, tree = jax.tree.flatten(tuple(inputs)[: len(model.inputs)])
    traced, expected = jax.tree.flatten(model.inputs)
    shapes, own = tuple(map(jnp.shape, given)), tuple(leaf.shape for leaf in traced)
    if tree != expected or shapes == own or list(map(_rest, shapes)) != list(map(_rest, own)):
        return model
    return _retrace(model, shapes)


def _rest(shape: _Shape) -> Any:
    """Return the shape of one example; None for a single number."""
    return shape[1:] if shape else None


@lru_cache(maxsize=16)
def _retrace(model: Model, shapes: tuple[_Shape, ...]) -> Model:
    leaves, tree = jax.tree.flatten(model.inputs)
    pairs = zip(shapes, leaves, strict=True)
    structs = tree.unflatten(jax.ShapeDtypeStruct(shape, leaf.dtype) for shape, leaf in pairs)
    try:
        jax.eval_shape(model.apply, model.params, *structs)
    except (TypeError, ValueError) as error:
        own = ", ".join(str(leaf.shape) for leaf in leaves)
        raise ValueError(
            f"the model was traced with inputs of the shapes {own}, and cannot be called with "
            f"{', '.join(map(str, shapes))}: {error}"
        ) from error
    return replace(model, inputs=structs)
