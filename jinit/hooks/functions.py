"""Pure functions of a network that is to be trained, as a Model."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax

from jinit.hooks.modes import find_modes
from jinit.model import Model, PyTree, leaf_paths, trace

_TRAINED = "params"
"""Collection of the trained parameters, if a network with state has collections as in Linen."""


def trace_functions(
    init: Callable[[jax.Array], PyTree],
    call: Callable[..., Any],
    evaluate: Callable[..., Any] | None = None,
    *,
    inputs: Sequence[PyTree],
) -> Model:
    """Return the Model of a network given by pure functions.

    If the parameters are collections, one of which is called `params`, only that one is trained.

    Args:
      init: function of a key that draws the parameters.
      call: `apply(params, *inputs)`, with optional parameters `key` and `train`; or, if `evaluate`
        is given, `train(params, key, *inputs)`, which returns outputs and updated parameters.
      evaluate: `evaluate(params, *inputs)`, which returns outputs.
      inputs: example inputs, arrays or `jax.ShapeDtypeStruct`s.

    >>> import jax.numpy as jnp
    >>> def apply(params, x, train):
    ...     return x @ params["w"] / (2 if train else 1)
    >>> x = jnp.ones((8, 4))
    >>> model = trace_functions(lambda key: {"w": jnp.ones((4, 3))}, apply, inputs=[x])
    >>> float(model.evaluate({"w": jnp.ones((4, 3))}, x)[0, 0])
    4.0
    """
    params = jax.eval_shape(init, jax.random.key(0))
    if evaluate is not None:
        return _trace_stateful(init, call, evaluate, params, inputs)
    names, modes = inspect.signature(call).parameters, find_modes(call)
    if "key" not in names and not modes.training:
        return trace(call, params, *inputs, init=init)

    def train(params: PyTree, key: jax.Array, *values: PyTree) -> tuple[PyTree, PyTree]:
        given = {"key": key} if "key" in names else {}
        return call(params, *values, **given, **modes.training), params

    given = {"key": None} if "key" in names else {}
    return _trace_modes(init, train, partial(call, **given, **modes.evaluation), params, inputs)


def _trace_stateful(
    init: Callable, train: Callable, evaluate: Callable, params: PyTree, inputs: Sequence[PyTree]
) -> Model:
    model = _trace_modes(init, train, evaluate, params, inputs)
    if not (isinstance(params, dict) and _TRAINED in params):
        return model
    kinds = tuple(sorted(set(params) - {_TRAINED}))
    state = {path for path in leaf_paths(params) if not path.startswith(f"{_TRAINED}/")}
    return replace(model, state_kinds=kinds, untrained_paths=model.untrained_paths | state)


def _trace_modes(
    init: Callable, train: Callable, evaluate: Callable, params: PyTree, inputs: Sequence[PyTree]
) -> Model:
    def apply(params: PyTree, *values: PyTree) -> PyTree:
        return train(params, jax.random.key(0), *values)[0]

    model = trace(apply, params, *inputs, init=init)
    return replace(model, train=train, evaluate=evaluate)
