"""NNX modules as Models."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import numpy as np
from flax import nnx

from jinit.model import Model, paths_of


def trace(constructor: Callable[[nnx.Rngs], nnx.Module], *inputs: Any, **kwargs: Any) -> Model:
    """The Model of an NNX module, given the function that constructs it from its rngs.

    Running statistics count among its parameters; what a call would write into them is dropped,
    and its random numbers are the same in every call.

    Args:
      constructor: `rngs -> module`, such as `lambda rngs: nnx.Linear(4, 3, rngs=rngs)`.
      inputs: example inputs of its call, arrays or `jax.ShapeDtypeStruct`s.
      kwargs: static keyword arguments of its call.

    Raises:
      TypeError: the constructor does not return an NNX module, or is one itself.

    >>> import jax, jax.numpy as jnp
    >>> from flax import nnx
    >>> trace(lambda rngs: nnx.Linear(4, 3, rngs=rngs), jnp.ones((8, 4))).layer_names
    ('kernel',)
    """

    if isinstance(constructor, nnx.Module):
        raise TypeError(
            f"expected a function of nnx.Rngs, got a {type(constructor).__name__}, whose weights "
            "are drawn already: give lambda rngs: Module(..., rngs=rngs)"
        )

    def parts(key: jax.Array) -> tuple[Any, Any, Any]:
        module = constructor(_rngs(key))
        if not isinstance(module, nnx.Module):
            raise TypeError(
                f"expected a function that takes nnx.Rngs and returns an NNX module, but it "
                f"returned {type(module).__name__}; for pure functions give the pair (init, apply)"
            )
        graphdef, rngs, *others = nnx.split(module, nnx.RngState, ...)
        return graphdef, rngs, others[0]

    def module_of(params: Any, rngs: Any) -> nnx.Module:
        own, state = jax.tree.map(lambda leaf: leaf, (rngs, abstract))  # copies to write into
        nnx.replace_by_pure_dict(state, params)
        return nnx.merge(graphdef, own, state)

    # A program that draws the keys of dropout only: compiled away is all that draws weights.
    seeded = jax.jit(lambda key: parts(key)[1])
    fixed = cache(lambda: seeded(jax.random.key(0)))

    def init(key: jax.Array) -> Any:
        return nnx.to_pure_dict(parts(key)[2])

    def noted(key: jax.Array) -> Any:
        graphdef, *states = parts(key)
        notes[:] = [graphdef, *jax.eval_shape(lambda *trees: trees, *states)]
        return nnx.to_pure_dict(states[1])

    notes: list[Any] = []
    drawing, params = jax.make_jaxpr(noted, return_shape=True)(jax.random.key(0))
    graphdef, rngs, abstract = notes

    def apply(params: Any, *values: Any) -> Any:
        return module_of(params, fixed() if rngs else rngs)(*values, **kwargs)

    def finish(params: Any, key: jax.Array) -> nnx.Module:
        return module_of(params, seeded(key) if rngs else rngs)

    def annotated(mesh: jax.sharding.Mesh) -> Any:
        return nnx.to_pure_dict(nnx.get_named_sharding(abstract, mesh))

    shapes = jax.eval_shape(lambda *values: values, *inputs)
    trained = jax.tree.map(
        lambda variable: isinstance(variable, nnx.Param), abstract, is_leaf=_is_variable
    )
    flags = zip(paths_of(params), jax.tree.leaves(trained), strict=True)
    untrained = frozenset(path for path, flag in flags if not flag)
    kinds = _kinds(rngs, abstract)
    return Model(apply, params, shapes, init, drawing, kinds, untrained, finish, _tree, annotated)


class _Count(np.ndarray):
    """A count that is read as a copy: JAX may hold on to what it is given, NNX adds in place."""

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.array(super().__getitem__(index))


def _rngs(key: jax.Array) -> nnx.Rngs:
    """`nnx.Rngs(key)`, but its keys are counted by NumPy.

    A traced count is asked for its sharding whenever it grows, and JAX before 0.11 searches the
    whole trace for the text of the error that says there is none: two thirds of a trace's time.
    """
    rngs = nnx.Rngs(key)
    count: Any = np.zeros((), np.uint32).view(_Count)
    rngs.default.count = nnx.RngCount(count, tag=rngs.default.tag)
    return rngs


def _tree(params: Any) -> Any:
    """The parameters of a module or of its state; parameters themselves stay as they are."""
    if isinstance(params, nnx.Module):
        params = nnx.state(params)
    if not isinstance(params, nnx.State):
        return params
    return nnx.to_pure_dict(nnx.filter_state(params, nnx.Not(nnx.RngState)))


def _kinds(*states: Any) -> tuple[str, ...]:
    """Types of the variables that are no parameters."""
    variables = jax.tree.leaves(states, is_leaf=_is_variable)
    return tuple(
        sorted({type(each).__name__ for each in variables if not isinstance(each, nnx.Param)})
    )


def _is_variable(value: Any) -> bool:
    return isinstance(value, nnx.Variable)
