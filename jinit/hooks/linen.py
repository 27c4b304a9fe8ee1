"""Linen modules as Models."""

from typing import Any

import jax
from flax import errors, linen
from flax.linen import spmd

from jinit.model import Model, paths_of


def trace(module: linen.Module, *inputs: Any, rngs: Any = None, **kwargs: Any) -> Model:
    """The Model of a Linen module: its variables as `{"params": ...}`, nothing allocated.

    Collections besides `params`, such as BatchNorm's statistics, are variables as well; what a
    call would write into them is dropped.

    Args:
      module: an unbound Linen module.
      inputs: example inputs of its call, arrays or `jax.ShapeDtypeStruct`s.
      rngs: keys for a call that draws random numbers, such as `{"dropout": jax.random.key(0)}`;
        every call then draws the same ones.
      kwargs: static keyword arguments of its call, such as `deterministic=True`.

    Raises:
      TypeError: `module` is no Linen module.
      ValueError: once its graph is read: the call draws random numbers, and there are no `rngs`.

    >>> import jax, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> trace(nn.Dense(3), jnp.ones((8, 4))).layer_names
    ('params/kernel',)
    """

    if not isinstance(module, linen.Module):
        raise TypeError(f"expected a Linen module, got {type(module).__name__}")

    def draw(key: jax.Array) -> Any:
        examples = jax.tree.map(lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), abstract)
        return module.init(key if rngs is None else {**rngs, "params": key}, *examples, **kwargs)

    def apply(variables: Any, *values: Any) -> Any:
        try:
            done = module.apply(variables, *values, rngs=rngs, mutable=state or False, **kwargs)
        except errors.InvalidRngError as error:
            raise ValueError(
                f"{type(module).__name__} draws random numbers when it is called ({error}): switch "
                "that off, such as with deterministic=True, or give keys that every call shares, "
                "such as rngs={'dropout': key}"
            ) from error
        return done[0] if state else done

    def annotated(mesh: jax.sharding.Mesh) -> Any:
        return jax.tree.map(lambda box: _sharding(box, mesh), boxed, is_leaf=_is_box)

    abstract = jax.eval_shape(lambda *values: values, *inputs)
    drawing, boxed = jax.make_jaxpr(draw, return_shape=True)(jax.random.key(0))
    state = sorted(set(boxed) - {"params"})
    variables = jax.eval_shape(linen.meta.unbox, boxed)
    return Model(
        apply,
        variables,
        abstract,
        lambda key: linen.meta.unbox(draw(key)),
        drawing,
        tuple(state),
        frozenset(path for path in paths_of(variables) if not path.startswith("params/")),
        lambda variables, key: jax.tree.map(_in_box, boxed, variables, is_leaf=_is_box),
        linen.meta.unbox,
        annotated,
    )


def _in_box(box: Any, value: Any) -> Any:
    """The value in a box like this, if it is one."""
    if not _is_box(box):
        return value
    nested = _is_box(getattr(box, "value", None))
    return linen.meta.replace_boxed(box, value) if nested else box.replace_boxed(value)


def _sharding(box: Any, mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """What a box asks for: names of the mesh's axes, or logical names and Flax's rules for them."""
    spec = linen.get_partition_spec(box)
    if isinstance(box, linen.LogicallyPartitioned):
        return spmd.logical_to_mesh_sharding(spec, mesh)
    return jax.sharding.NamedSharding(mesh, spec)


def _is_box(value: Any) -> bool:
    return isinstance(value, linen.meta.AxisMetadata)
