"""NNX modules as Models."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jinit.model import Model
from jinit.model import trace as trace_function


def trace(constructor: Callable[[nnx.Rngs], nnx.Module], *inputs: Any, **kwargs: Any) -> Model:
    """The Model of an NNX module, given the function that constructs it from its rngs.

    Args:
      constructor: `rngs -> module`, such as `lambda rngs: nnx.Linear(4, 3, rngs=rngs)`.
      inputs: example inputs of its call, arrays or `jax.ShapeDtypeStruct`s.
      kwargs: static keyword arguments of its call.

    Raises:
      TypeError: the constructor does not return an NNX module.
      ValueError: the module keeps state besides its `nnx.Param`s.

    >>> import jax, jax.numpy as jnp
    >>> from flax import nnx
    >>> trace(lambda rngs: nnx.Linear(4, 3, rngs=rngs), jnp.ones((8, 4))).layer_names
    ('kernel',)
    """

    def construct(key: jax.Array) -> nnx.Module:
        module = constructor(nnx.Rngs(key))
        if not isinstance(module, nnx.Module):
            raise TypeError(
                f"expected a function that takes nnx.Rngs and returns an NNX module, but it "
                f"returned {type(module).__name__}; for pure functions give the pair (init, apply)"
            )
        return module

    def init(key: jax.Array) -> Any:
        return nnx.to_pure_dict(nnx.state(construct(key), nnx.Param))

    def apply(params: Any, *values: Any) -> Any:
        state = jax.tree.map(lambda leaf: leaf, abstract)  # a copy to write into
        nnx.replace_by_pure_dict(state, params)
        return nnx.merge(graphdef, state)(*values, **kwargs)

    graphdef, abstract, other = nnx.split(
        nnx.eval_shape(lambda: construct(jax.random.key(0))), nnx.Param, ...
    )
    if kinds := sorted({type(leaf).__name__ for leaf in jax.tree.leaves(other, is_leaf=_is_var)}):
        raise ValueError(
            f"the module keeps {', '.join(kinds)} besides its parameters, and jinit traces pure "
            "functions of parameters and inputs: build it without (no dropout rngs, no running "
            "statistics), or give a pair (init, apply) of pure functions"
        )
    return trace_function(apply, jax.eval_shape(init, jax.random.key(0)), *inputs, init=init)


def _is_var(value: Any) -> bool:
    return isinstance(value, nnx.Variable)
