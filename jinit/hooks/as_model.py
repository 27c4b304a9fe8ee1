"""Conversion of any supported network to a Model; Flax is imported only for Flax modules."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax

from jinit.model import Model, PyTree, abstract_inputs, trace

_EXPECTED = (
    "expected a Linen module, a function rngs -> NNX module, or a pair of pure functions "
    "(init, apply) with init(key) -> params and apply(params, x) -> outputs"
)


def as_model(network: Any, *inputs: PyTree) -> Model:
    """Return the Model of a Linen module, an NNX constructor, an `(init, apply)` pair, or a Model.

    Args:
      network: the network.
      inputs: example inputs, arrays or `jax.ShapeDtypeStruct`s; for a Model they replace its own.

    Raises:
      TypeError: if `network` is none of these, or an NNX module whose weights are drawn already.
      ValueError: if the network keeps state besides its parameters.

    >>> import jax, jax.numpy as jnp
    >>> pair = (lambda key: {"w": jnp.ones((4, 3))}, lambda params, x: x @ params["w"])
    >>> as_model(pair, jnp.ones((8, 4))).layer_names
    ('w',)
    """
    if isinstance(network, Model):
        return replace(network, inputs=abstract_inputs("as_model", inputs)) if inputs else network
    if _is_instance(network, "flax.linen"):
        from jinit.hooks import linen

        return _check_pure(type(network).__name__, linen.trace(network, *inputs))
    if _is_instance(network, "flax.nnx"):
        raise TypeError(
            f"{type(network).__name__} is an NNX module whose weights are drawn already, so every "
            "seed would start from the same ones. Give the function that constructs it instead: "
            "lambda rngs: Module(..., rngs=rngs), or build(config, rngs) in a sweep"
        )
    if isinstance(network, tuple) and len(network) == 2 and all(map(callable, network)):
        return _trace_pair(*network, *inputs)
    if callable(network):
        from jinit.hooks import nnx

        constructor: Callable[[Any], Any] = network
        return _check_pure("the module", nnx.trace(constructor, *inputs))
    raise TypeError(f"cannot make a model of {type(network).__name__}: {_EXPECTED}")


def _check_pure(name: str, model: Model) -> Model:
    """Return the model if it is a function of trained parameters and inputs only."""
    if not model.state_kinds:
        return model
    raise ValueError(
        f"{name} keeps {', '.join(model.state_kinds)} besides its parameters, and a sweep trains "
        "pure functions of parameters and inputs: build it without them (no dropout rngs, no "
        "running statistics), or give a pair (init, apply) of pure functions"
    )


def _is_instance(value: Any, framework: str) -> bool:
    module = sys.modules.get(framework)
    return module is not None and isinstance(value, module.Module)


def _trace_pair(init: Callable, apply: Callable, *inputs: PyTree) -> Model:
    params = jax.eval_shape(init, jax.random.key(0))
    return trace(apply, params, *inputs, init=init)
