"""The loss of a diagnosis: a user's own, one that the targets suggest, or none."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Loss = Callable[..., Array]


def cross_entropy(outputs: Array, targets: Array) -> Array:
    """Mean over all targets, integers, of -log softmax(outputs)."""
    logits = jax.nn.log_softmax(outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32)))
    return -jnp.take_along_axis(logits, targets[..., None], axis=-1).mean()


def mean_squared_error(outputs: Array, targets: Array) -> Array:
    """Mean over examples of the squared distance."""
    difference = outputs - targets
    return jnp.sum(difference**2) / difference.shape[0]


class Direction(NamedTuple):
    """Independent normal numbers for each output, in place of targets."""

    leaves: list[Any]


def along(outputs: Any, direction: Direction) -> Array:
    """Inner product of each example's outputs with a direction, mean over examples.

    Its gradient comes from all directions alike, so that what is seen of it is the network's doing.
    """
    total = jnp.zeros(())
    for leaf, numbers in zip(_floats(outputs), direction.leaves, strict=True):
        total += jnp.sum(leaf.astype(jnp.float32) * numbers) / (leaf.shape[0] if leaf.ndim else 1)
    return total


def aimed(outputs: Any, key: Array) -> Direction:
    """A random direction of outputs of these shapes."""
    shapes = [leaf.shape for leaf in _floats(outputs)]
    return Direction([normals(key, shape, 2 * n + 1) for n, shape in enumerate(shapes)])


def normals(key: Array, shape: Sequence[int], part: int) -> np.ndarray:
    """Normal numbers, drawn by NumPy: a program that draws takes JAX a second to compile."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.key_data(key)
    words = np.asarray(key).ravel().tolist()
    return np.random.default_rng([*words, part]).standard_normal(shape, np.float32)


def _floats(outputs: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(outputs) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def chosen(loss: Loss | None, outputs: Any, rest: Sequence[Any]) -> tuple[Loss, str]:
    """The loss, called with outputs and the rest of the batch; and what it is called.

    Raises:
      ValueError: no loss, and targets that suggest none.
    """
    if loss is not None:
        return partial(_own, loss), getattr(loss, "__name__", "loss")
    if isinstance(rest[0], Direction):
        return lambda outputs, rest: along(outputs, rest[0]), "random direction"
    leaves = jax.tree.leaves(outputs)
    if len(rest) == 1 and len(leaves) == 1 and hasattr(rest[0], "shape"):
        (found,), (targets,) = leaves, rest
        if _are_labels(found, targets):
            return lambda outputs, rest: cross_entropy(
                jax.tree.leaves(outputs)[0], rest[0]
            ), "cross-entropy"
        if targets.shape == found.shape:
            return lambda outputs, rest: mean_squared_error(
                jax.tree.leaves(outputs)[0], rest[0]
            ), "mean squared error"
    shapes = [str(getattr(leaf, "shape", leaf)) for leaf in leaves]
    raise ValueError(
        f"diagnose: the batch has {len(rest)} array(s) more than the model has inputs, and their "
        f"shapes do not say which loss is meant (outputs have shape {', '.join(shapes)}): integers "
        "of the outputs' shape without its last axis, of two classes at least, mean cross-entropy, "
        "an array of the same shape mean squared error; for any other give "
        "loss=lambda outputs, *targets: ..."
    )


def _own(loss: Loss, outputs: Any, rest: Sequence[Any]) -> Array:
    value = loss(outputs, *rest)
    if jnp.shape(value):
        raise ValueError(
            f"loss: expected one number, a mean over examples, got shape {jnp.shape(value)}; "
            "take its mean"
        )
    return value


def _are_labels(outputs: Any, targets: Any) -> bool:
    integers = jnp.issubdtype(targets.dtype, jnp.integer)
    return integers and targets.shape == outputs.shape[:-1] and outputs.shape[-1] > 1


def check_labels(name: str, outputs: Any, targets: Any) -> None:
    """Whether classes are there at all.

    Raises:
      ValueError: targets that would be taken as labels are no classes of these outputs.
    """
    leaves = jax.tree.leaves(outputs)
    if len(leaves) != 1 or not hasattr(targets, "shape") or not _are_labels(leaves[0], targets):
        return
    classes, found = leaves[0].shape[-1], np.asarray(targets)
    if found.size and (found.min() < 0 or found.max() >= classes):
        raise ValueError(
            f"{name}: the targets go from {found.min()} to {found.max()}, but the outputs have "
            f"{classes} classes, from 0 to {classes - 1}; give labels of that range, or a loss= "
            "that leaves some out"
        )
