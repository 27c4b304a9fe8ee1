"""The parameters of a diagnosis: given, or drawn by the network's own initialization."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.model import Model, PyTree


def given_arguments(params: Any, batch: Sequence[PyTree]) -> tuple[Any, ...]:
    """Return the arguments after the network; none if all were left out.

    Args:
      params: its parameters, or None.
      batch: inputs and targets.
    """
    return (params, *batch) if batch or params is not None else ()


def read_params(name: str, model: Model, params: PyTree, key: Array) -> PyTree:
    """Return parameters as the model's tree.

    Args:
      name: function that the user called, for messages.
      model: the traced network.
      params: its parameters; None for its own initialization.
      key: key of its own initialization.

    Raises:
      ValueError: if the tree, a shape or a dtype is not the model's, or there is no initialization.
    """
    if params is None:
        params = _params_function(name, model, None)(key)
    leaves = list(model.by_path(params).values())
    _check_dtypes(name, model, leaves)
    return jax.tree.unflatten(jax.tree.structure(model.params), leaves)


def draw_many(name: str, model: Model, params: Any, keys: Array) -> PyTree:
    """Return parameters of many initializations, along axis 0 of every leaf.

    Args:
      name: function that the user called, for messages.
      model: the traced network.
      params: function `key -> params`; None for the model's own initialization.
      keys: one key for each initialization.

    Raises:
      ValueError: if there is no such function, or its parameters are not the model's.
    """
    return _draw_params(model, _params_function(name, model, params), keys)


@jit_recent(2)
def _draw_params(model: Model, draw: Callable[[Array], PyTree], keys: Array) -> PyTree:
    return jax.vmap(lambda key: model.unwrap(draw(key)))(keys)


def _check_dtypes(name: str, model: Model, leaves: Sequence[Any]) -> None:
    """Raise if parameters have other dtypes than those that the model was traced with."""
    abstract = jax.tree.leaves(model.params)
    for path, leaf, expected in zip(model.paths, leaves, abstract, strict=True):
        dtype = jnp.result_type(leaf)
        if jnp.issubdtype(expected.dtype, jnp.floating) and dtype != expected.dtype:
            raise ValueError(
                f"{name}: the parameter {path!r} is {dtype}, but the model was traced with "
                f"{expected.dtype}; trace the model with these parameters, or cast them"
            )


def _params_function(name: str, model: Model, params: Any) -> Callable[[Array], PyTree]:
    """Return the function that draws parameters.

    Raises:
      ValueError: if there is none, or its parameters are not the model's.
    """
    draw = model.init if params is None else params
    if draw is None:
        raise ValueError(
            f"{name}: the model has no initialization of its own, so it needs params: give them, "
            "such as jinit.init(model, key, rules)"
        )
    if not callable(draw):
        raise ValueError(
            f"{name}: with seeds, params must be a function key -> params, such as "
            "lambda key: jinit.init(model, key, rules), or None for a model with its own init; got "
            f"{type(params).__name__}"
        )
    model.by_path(jax.eval_shape(lambda key: model.unwrap(draw(key)), jax.random.key(0)))
    return draw
