"""Conversion of any supported network to a Model; Flax is imported only for Flax modules."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jinit.hooks.functions import trace_functions
from jinit.model import Model, PyTree, abstract_inputs

_EXPECTED = (
    "expected a Linen module, a function rngs -> NNX module, a pair of pure functions "
    "(init, apply) with init(key) -> params and apply(params, x) -> outputs, or for networks with "
    "state (init, train, evaluate) with train(params, key, x) -> (outputs, params) and "
    "evaluate(params, x) -> outputs"
)


def as_model(network: Any, *inputs: PyTree) -> Model:
    """Return the Model of a network that is to be trained.

    It is a Linen module, an NNX constructor, a pair `(init, apply)`, a triple
    `(init, train, evaluate)`, or a Model. If `apply` has the parameters `key` or `train`, they are
    a key and true in training, and None and false in evaluation.

    Args:
      network: the network.
      inputs: example inputs, arrays or `jax.ShapeDtypeStruct`s; for a Model they replace its own.

    Raises:
      TypeError: if `network` is none of these, or an NNX module whose weights are drawn already.

    >>> import jax, jax.numpy as jnp
    >>> pair = (lambda key: {"w": jnp.ones((4, 3))}, lambda params, x: x @ params["w"])
    >>> as_model(pair, jnp.ones((8, 4))).layer_names
    ('w',)
    """
    if isinstance(network, Model):
        return replace(network, inputs=abstract_inputs("as_model", inputs)) if inputs else network
    if _is_instance(network, "flax.linen"):
        from jinit.hooks import linen

        return linen.trace_trained_module(network, *inputs)
    if _is_instance(network, "flax.nnx"):
        raise TypeError(
            f"{type(network).__name__} is an NNX module whose weights are drawn already, so every "
            "seed would start from the same ones. Give the function that constructs it instead: "
            "lambda rngs: Module(..., rngs=rngs), or build(config, rngs) in a sweep"
        )
    if isinstance(network, tuple) and len(network) in (2, 3) and all(map(callable, network)):
        return trace_functions(*network, inputs=inputs)
    if callable(network):
        from jinit.hooks import nnx

        constructor: Callable[[Any], Any] = network
        return nnx.trace_trained_constructor(constructor, *inputs)
    raise TypeError(f"cannot make a model of {type(network).__name__}: {_EXPECTED}")


def _is_instance(value: Any, framework: str) -> bool:
    module = sys.modules.get(framework)
    return module is not None and isinstance(value, module.Module)
