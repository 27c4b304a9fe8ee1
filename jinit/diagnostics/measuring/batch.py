"""Prepare the batch of examples on which a network is measured."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from jinit.diagnostics.measuring.floating import is_floating
from jinit.diagnostics.measuring.losses import (
    Loss,
    check_labels,
    check_loss,
    draw_direction,
    draw_normals,
)
from jinit.model import Model, PyTree, check_model, trace_for


class Batch(NamedTuple):
    """Inputs of a model, targets, and the key of everything that is drawn."""

    inputs: list[PyTree]
    targets: list[PyTree]
    key: Array


def fit_model(name: str, model: Model, batch: Sequence[PyTree]) -> Model:
    """Return the model, traced with as many examples as a batch has.

    Args:
      name: function that the user called, for messages.
      model: the traced network.
      batch: its inputs, and whatever follows them; none for the traced inputs.

    Raises:
      TypeError: if `model` is not a Model.
      ValueError: if the network cannot be called with this number of examples.
    """
    check_model(name, model)
    return trace_for(model, batch)


def prepare_batch(name: str, model: Model, batch: Sequence[PyTree], key: Array | None) -> Batch:
    """Return a checked batch, by the conventions of `jinit.diagnose`.

    Args:
      name: function that the user called, for messages.
      model: the traced network.
      batch: its inputs, then targets; if empty, inputs of the traced shapes are drawn.
      key: key of the inputs that are drawn; None for `jax.random.key(0)`.

    Raises:
      TypeError: if `key` is not a key.
      ValueError: if the inputs are not like the traced ones, or cannot be drawn.
    """
    key = jax.random.key(0) if key is None else key
    if not isinstance(key, Array):
        raise TypeError(f"{name}: expected a random key, such as jax.random.key(0), got {key!r}")
    if not batch:
        return Batch(_draw_inputs(name, model, key), [], key)
    count = len(model.inputs)
    if len(batch) < count:
        raise ValueError(
            f"{name}: the model takes {_count_text(count, 'input')}, got a batch of {len(batch)}; "
            "give all inputs of the model, then targets if there are any"
        )
    inputs, targets = list(batch[:count]), list(batch[count:])
    for number, (given, traced) in enumerate(zip(inputs, model.inputs, strict=True)):
        _check_input(name, number, given, traced)
    return Batch(inputs, targets, key)


def prepare_inputs(name: str, model: Model, inputs: Sequence[PyTree], key: Array | None) -> Batch:
    """Return a checked batch without targets.

    Args:
      name: function that the user called, for messages.
      model: the traced network.
      inputs: its inputs; if empty, inputs of the traced shapes are drawn.
      key: key of the inputs that are drawn; None for `jax.random.key(0)`.

    Raises:
      TypeError: if `key` is not a key.
      ValueError: if there are more inputs than the model takes, or `prepare_batch` raises.
    """
    batch = prepare_batch(name, model, inputs, key)
    if batch.targets:
        raise ValueError(
            f"{name}: the model takes {_count_text(len(model.inputs), 'input')}, got "
            f"{len(inputs)}; {name} uses no targets, so leave them out"
        )
    return batch


def prepare_loss_batch(
    name: str, model: Model, batch: Sequence[PyTree], loss: Loss | None, key: Array | None
) -> Batch:
    """Return a checked batch with targets; without a loss and targets, a random direction.

    Args:
      name: function that the user called, for messages.
      model: the traced network.
      batch: its inputs, then targets; if empty, inputs of the traced shapes are drawn.
      loss: `loss(outputs, *targets)`, or None.
      key: key of the direction and of inputs that are drawn; None for `jax.random.key(0)`.

    Raises:
      TypeError: if `loss` is not a function, or `prepare_batch` raises.
      ValueError: if integer targets are not classes of the outputs, or `prepare_batch` raises.
    """
    check_loss(name, loss)
    checked = prepare_batch(name, model, batch, key)
    if loss is None and len(checked.targets) == 1 and not isinstance(checked.targets[0], Tracer):
        check_labels(name, output_shapes(model), checked.targets[0])
    if loss is not None or checked.targets:
        return checked
    return checked._replace(targets=[draw_direction(output_shapes(model), checked.key)])


@lru_cache(maxsize=16)
def output_shapes(model: Model) -> PyTree:
    """Return the abstract outputs of a model."""
    return jax.eval_shape(model.apply, model.params, *model.inputs)


def count_examples(inputs: Sequence[PyTree]) -> int:
    """Return the length of axis 0 of the first input; 1 if it has no axis."""
    leaves = jax.tree.leaves(list(inputs))
    return int(np.shape(leaves[0])[0]) if leaves and np.ndim(leaves[0]) else 1


def check_examples(name: str, inputs: Sequence[PyTree]) -> int:
    """Return the length of axis 0 of the first input, or raise if it has no axis.

    Raises:
      ValueError: if there is no input, or the first one is a single number.
    """
    leaves = jax.tree.leaves(list(inputs))
    if not leaves or not np.ndim(leaves[0]):
        seen = "a single number" if leaves else "missing"
        raise ValueError(
            f"{name}: axis 0 of the first input enumerates examples, but the first input is "
            f"{seen}; trace the model with a batch of examples"
        )
    return count_examples(inputs)


def _check_input(name: str, number: int, given: PyTree, traced: PyTree) -> None:
    """Raise if an input does not have the traced shapes, or has no examples."""
    shape = jax.tree.map(jnp.shape, given)
    expected = jax.tree.map(lambda leaf: leaf.shape, traced)
    if shape != expected:
        raise ValueError(
            f"{name}: input {number} has shape {shape}, but the model was traced with {expected}; "
            "only the number of examples, axis 0, may differ: trace it with this batch"
        )
    if any(0 in np.shape(leaf) for leaf in jax.tree.leaves(given)):
        raise ValueError(f"{name}: input {number} has shape {shape}: give at least one example")


def _draw_inputs(name: str, model: Model, key: Array) -> list[PyTree]:
    """Draw inputs of the traced shapes: normal numbers, or zeros for integers."""
    leaves, tree = jax.tree.flatten(list(model.inputs))
    return tree.unflatten(
        _draw_input(name, key, 2 * number, leaf) for number, leaf in enumerate(leaves)
    )


def _draw_input(name: str, key: Array, number: int, abstract: Any) -> Array:
    if is_floating(abstract):
        return jnp.asarray(draw_normals(key, abstract.shape, number), abstract.dtype)
    if jnp.issubdtype(abstract.dtype, jnp.integer):
        return jnp.zeros(abstract.shape, abstract.dtype)
    raise ValueError(
        f"{name}: cannot draw inputs of dtype {abstract.dtype}, only of floating-point numbers "
        "and integers; give a batch"
    )


def _count_text(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
