"""One door for every kind of network; Flax is imported only when a Flax module comes through."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax

from jinit.model import Model, trace

_EXPECTED = (
    "expected a Linen module, a function rngs -> NNX module, or a pair of pure functions "
    "(init, apply) with init(key) -> params and apply(params, x) -> outputs"
)


def as_model(built: Any, *inputs: Any) -> Model:
    """The Model of a Linen module, an NNX constructor, an `(init, apply)` pair, or a Model.

    Args:
      built: the network. inputs: example inputs, arrays or `jax.ShapeDtypeStruct`s.

    Raises:
      TypeError: `built` is none of these, or an NNX module that is already drawn.
      ValueError: it keeps state besides its parameters.

    >>> import jax, jax.numpy as jnp
    >>> pair = (lambda key: {"w": jnp.ones((4, 3))}, lambda params, x: x @ params["w"])
    >>> as_model(pair, jnp.ones((8, 4))).layer_names
    ('w',)
    """
    if isinstance(built, Model):
        return replace(built, inputs=jax.eval_shape(lambda *x: x, *inputs)) if inputs else built
    if _is_instance(built, "flax.linen"):
        from jinit.hooks import linen

        return _pure(type(built).__name__, linen.trace(built, *inputs))
    if _is_instance(built, "flax.nnx"):
        raise TypeError(
            f"{type(built).__name__} is an NNX module whose weights are drawn already, so every "
            "seed would start from the same ones. Give the function that makes it instead: "
            "lambda rngs: Module(..., rngs=rngs), or build(config, rngs) in a sweep"
        )
    if isinstance(built, tuple) and len(built) == 2 and all(map(callable, built)):
        return _from_pair(*built, *inputs)
    if callable(built):
        from jinit.hooks import nnx

        constructor: Callable[[Any], Any] = built
        return _pure("the module", nnx.trace(constructor, *inputs))
    raise TypeError(f"cannot make a model of {type(built).__name__}: {_EXPECTED}")


def _pure(name: str, model: Model) -> Model:
    """The model, if it is a function of trained parameters and inputs only."""
    if not model.state:
        return model
    raise ValueError(
        f"{name} keeps {', '.join(model.state)} besides its parameters, and a sweep trains pure "
        "functions of parameters and inputs: build it without (no dropout rngs, no running "
        "statistics), or wrap it into a pair (init, apply) of pure functions"
    )


def _is_instance(value: Any, framework: str) -> bool:
    module = sys.modules.get(framework)
    return module is not None and isinstance(value, module.Module)


def _from_pair(init: Callable, apply: Callable, *inputs: Any) -> Model:
    params = jax.eval_shape(init, jax.random.key(0))
    return trace(apply, params, *inputs, init=init)
