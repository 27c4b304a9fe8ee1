"""Linen modules as Models."""

from typing import Any

import jax
from flax import errors, linen

from jinit.model import Model
from jinit.model import trace as trace_function


def trace(module: linen.Module, *inputs: Any, **kwargs: Any) -> Model:
    """The Model of a Linen module: parameters as `{"params": ...}`, nothing allocated.

    Args:
      module: an unbound Linen module.
      inputs: example inputs of its call, arrays or `jax.ShapeDtypeStruct`s.
      kwargs: static keyword arguments of its call, such as `deterministic=True`.

    Raises:
      ValueError: the module keeps state besides its parameters, or, once its graph is read, draws
        random numbers.

    >>> import jax, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> trace(nn.Dense(3), jnp.ones((8, 4))).layer_names
    ('params/kernel',)
    """

    def init(key: jax.Array) -> Any:
        examples = jax.tree.map(lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), abstract)
        return linen.meta.unbox(module.init(key, *examples, **kwargs))

    def apply(params: Any, *values: Any) -> Any:
        try:
            return module.apply(params, *values, **kwargs)
        except errors.InvalidRngError as error:
            raise ValueError(
                f"{type(module).__name__} draws random numbers when it is called ({error}), and "
                "jinit traces pure functions of parameters and inputs: switch that off, such as "
                "with deterministic=True, or give a pair (init, apply) of pure functions"
            ) from error

    abstract = jax.eval_shape(lambda *values: values, *inputs)
    params = jax.eval_shape(init, jax.random.key(0))
    if state := sorted(set(params) - {"params"}):
        raise ValueError(
            f"{type(module).__name__} keeps {', '.join(state)} besides its parameters, and jinit "
            "traces pure functions of parameters and inputs. Call it so that it needs none (such "
            "as use_running_average=False with mutable state dropped), or wrap it into a pair "
            "(init, apply) of pure functions"
        )
    return trace_function(apply, params, *abstract, init=init)
