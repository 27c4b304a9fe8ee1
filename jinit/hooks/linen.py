"""Linen modules as Models."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import errors, linen
from flax.linen import spmd

from jinit.hooks.modes import find_modes
from jinit.model import Model, PyTree, abstract_inputs, leaf_paths


def trace(
    module: linen.Module,
    *inputs: PyTree,
    rngs: dict[str, jax.Array] | None = None,
    **kwargs: Any,
) -> Model:
    """Return the Model of a Linen module, with its variables as `{"params": ...}`.

    Nothing is allocated. Collections besides `params`, such as BatchNorm's statistics, are
    variables as well; updates that a call makes to them are dropped.

    Args:
      module: an unbound Linen module.
      inputs: example inputs of its call, arrays or `jax.ShapeDtypeStruct`s.
      rngs: keys for a call that draws random numbers, such as `{"dropout": jax.random.key(0)}`;
        every call then draws the same ones. Without them, reading the graph of such a model
        raises a ValueError.
      kwargs: static keyword arguments of its call, such as `deterministic=True`.

    Returns:
      The Model.

    Raises:
      TypeError: if `module` is not a Linen module, or an input is a bare shape such as `(8, 4)`.

    >>> import jax, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> trace(nn.Dense(3), jnp.ones((8, 4))).layer_names
    ('params/kernel',)
    """
    if not isinstance(module, linen.Module):
        raise TypeError(f"linen.trace: expected a Linen module, got {_describe(module)}")
    if rngs is not None and not isinstance(rngs, Mapping):
        raise TypeError(
            f"linen.trace: rngs: expected a dictionary of keys, such as rngs={{'dropout': "
            f"jax.random.key(0)}}, got {_describe(rngs)}"
        )
    calls = _Calls(module, abstract_inputs("linen.trace", inputs), rngs, kwargs)
    jaxpr, boxed = jax.make_jaxpr(calls.draw_boxed, return_shape=True)(jax.random.key(0))
    boxes = _Boxes(boxed)
    variables = jax.eval_shape(linen.meta.unbox, boxed)
    collections = tuple(sorted(set(boxed) - {"params"}))
    paths = leaf_paths(variables)
    return Model(
        apply=partial(calls.apply, collections),
        params=variables,
        inputs=calls.inputs,
        init=calls.draw,
        init_jaxpr=jaxpr,
        state_kinds=collections,
        untrained_paths=frozenset(path for path in paths if not path.startswith("params/")),
        wrap=boxes.fill,
        unwrap=linen.meta.unbox,
        annotated_shardings=boxes.shardings,
    )


def trace_trained_module(module: linen.Module, *inputs: PyTree) -> Model:
    """Return the Model of a Linen module that is to be trained.

    Its `init` draws in evaluation mode, its `apply` is a call in training mode whose random
    numbers are fixed, its `train` draws them from a key and updates collections such as
    BatchNorm's statistics, and its `evaluate` is a call in evaluation mode.

    Args:
      module: an unbound Linen module.
      inputs: example inputs of its call, arrays or `jax.ShapeDtypeStruct`s.

    >>> import jax.numpy as jnp
    >>> from flax import linen as nn
    >>> trace_trained_module(nn.BatchNorm(), jnp.ones((8, 4))).state_kinds
    ('batch_stats',)
    """
    modes = find_modes(type(module).__call__)
    options: dict[str, Any] = dict(modes.evaluation)
    model = trace(module, *inputs, **options)
    calls = _Calls(module, model.inputs, None, modes.training)

    def train(variables: PyTree, key: jax.Array, *values: PyTree) -> tuple[Any, PyTree]:
        return calls.update(model.state_kinds, variables, key, *values)

    return replace(
        model,
        apply=lambda variables, *values: train(variables, jax.random.key(0), *values)[0],
        train=train,
        evaluate=model.apply,
    )


@dataclass(frozen=True, eq=False)
class _Calls:
    """A module, with the arguments that all of its calls share."""

    module: linen.Module
    inputs: tuple[PyTree, ...]
    rngs: dict[str, jax.Array] | None
    kwargs: Mapping[str, Any]

    def draw_boxed(self, key: jax.Array) -> PyTree:
        """Return initial variables, each in the box that the module puts it in."""
        rngs = key if self.rngs is None else {**self.rngs, "params": key}
        examples = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.inputs)
        return self.module.init(rngs, *examples, **self.kwargs)

    def draw(self, key: jax.Array) -> PyTree:
        """Return initial variables."""
        return linen.meta.unbox(self.draw_boxed(key))

    def update(
        self, collections: tuple[str, ...], variables: PyTree, key: jax.Array, *inputs: PyTree
    ) -> tuple[PyTree, PyTree]:
        """Return the outputs and the updated variables; random numbers are drawn from the key."""
        rngs = {"params": key, "dropout": key}
        outputs, updates = self.module.apply(
            variables, *inputs, rngs=rngs, mutable=list(collections), **self.kwargs
        )
        return outputs, {**variables, **linen.meta.unbox(updates)}

    def apply(self, collections: tuple[str, ...], variables: PyTree, *inputs: PyTree) -> PyTree:
        """Return the outputs; updates of the collections are dropped."""
        mutable = list(collections) or False
        try:
            results = self.module.apply(
                variables, *inputs, rngs=self.rngs, mutable=mutable, **self.kwargs
            )
        except errors.InvalidRngError as error:
            raise ValueError(
                f"{type(self.module).__name__} draws random numbers when it is called ({error}): "
                "switch that off, such as with deterministic=True, or give keys that every call "
                "shares, such as rngs={'dropout': key}"
            ) from error
        return results[0] if collections else results


@dataclass(frozen=True, eq=False)
class _Boxes:
    """The boxes with metadata, such as sharding annotations, around a module's variables."""

    tree: PyTree

    def fill(self, variables: PyTree, key: jax.Array) -> PyTree:
        """Return the variables in their boxes."""
        del key
        return jax.tree.map(_replace_value, self.tree, variables, is_leaf=_is_box)

    def shardings(self, mesh: jax.sharding.Mesh) -> PyTree:
        """Return the shardings that the boxes ask for."""
        return jax.tree.map(lambda box: _box_sharding(box, mesh), self.tree, is_leaf=_is_box)


def _describe(value: Any) -> str:
    if isinstance(value, type) and issubclass(value, linen.Module):
        return f"the class {value.__name__}; call it, such as {value.__name__}(...)"
    return type(value).__name__


def _replace_value(box: Any, value: Any) -> Any:
    """Return the value in a copy of its box, if it has one."""
    if not _is_box(box):
        return value
    is_nested = _is_box(getattr(box, "value", None))
    return linen.meta.replace_boxed(box, value) if is_nested else box.replace_boxed(value)


def _box_sharding(box: Any, mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """Return the sharding that a box asks for; logical axis names are mapped by Flax's rules."""
    spec = linen.get_partition_spec(box)
    if isinstance(box, linen.LogicallyPartitioned):
        return spmd.logical_to_mesh_sharding(spec, mesh)
    return jax.sharding.NamedSharding(mesh, spec)


def _is_box(value: Any) -> bool:
    return isinstance(value, linen.meta.AxisMetadata)
