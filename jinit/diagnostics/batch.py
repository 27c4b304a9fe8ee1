"""The batch on which a network is looked at."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from jinit.diagnostics.losses import Loss, aimed, check_labels, normals
from jinit.model import Model, check_model


class Batch(NamedTuple):
    """Inputs, targets, and a key for what is random."""

    inputs: list[Any]
    rest: list[Any]
    key: Array


def prepared(name: str, model: Model, batch: Sequence[Any], key: Array | None) -> Batch:
    """A batch by the conventions of `jinit.diagnose`."""
    check_model(name, model)
    key = jax.random.key(0) if key is None else key
    if not isinstance(key, Array):
        raise TypeError(f"{name}: expected a random key, such as jax.random.key(0), got {key!r}")
    inputs, rest = _given(name, model, batch) if batch else (_normal(name, model, key), [])
    return Batch(inputs, rest, key)


def with_targets(
    name: str, model: Model, batch: Sequence[Any], loss: Loss | None, key: Array | None
) -> Batch:
    """The same, with a random direction of the outputs where there is neither loss nor target."""
    found = prepared(name, model, batch, key)
    if loss is None and len(found.rest) == 1 and not isinstance(found.rest[0], Tracer):
        check_labels(name, outputs_of(model), found.rest[0])
    if loss is not None or found.rest:
        return found
    return found._replace(rest=[aimed(outputs_of(model), found.key)])


@lru_cache(maxsize=16)
def outputs_of(model: Model) -> Any:
    """Shapes of what the network makes."""
    return jax.eval_shape(model.apply, model.params, *model.inputs)


def _given(name: str, model: Model, batch: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Inputs of the model, and targets."""
    count = len(model.inputs)
    if len(batch) < count:
        raise ValueError(f"{name}: the model takes {count} inputs, got a batch of {len(batch)}")
    inputs, rest = list(batch[:count]), list(batch[count:])
    for number, (given, traced) in enumerate(zip(inputs, model.inputs, strict=True)):
        one, other = jax.tree.map(jnp.shape, given), jax.tree.map(lambda leaf: leaf.shape, traced)
        if one != other:
            raise ValueError(
                f"{name}: input {number} has shape {one}, and the model was traced with {other}; "
                "trace it with this batch"
            )
        if any(0 in np.shape(leaf) for leaf in jax.tree.leaves(given)):
            raise ValueError(f"{name}: input {number} has shape {one}: give one example at least")
    return inputs, rest


def _normal(name: str, model: Model, key: Array) -> list[Any]:
    """Inputs of the traced shapes."""
    leaves, tree = jax.tree.flatten(list(model.inputs))
    return tree.unflatten(_drawn(name, key, 2 * n, leaf) for n, leaf in enumerate(leaves))


def _drawn(name: str, key: Array, part: int, like: Any) -> Array:
    if jnp.issubdtype(like.dtype, jnp.floating):
        return jnp.asarray(normals(key, like.shape, part), like.dtype)
    if jnp.issubdtype(like.dtype, jnp.integer):
        return jnp.zeros(like.shape, like.dtype)
    raise ValueError(f"{name}: cannot draw inputs of {like.dtype}: give a batch")
