"""The loss of a diagnosis: the user's, one that the targets imply, or a random direction."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.measuring.floating import floating_leaves, widen
from jinit.model import PyTree

Loss = Callable[..., Array]
"""A user's loss: `loss(outputs, *targets)`, a mean over examples."""


class ChosenLoss(NamedTuple):
    """The loss of a batch, and its name."""

    function: Callable[[PyTree, Sequence[PyTree]], Array]
    """Function of the outputs and the list of targets that returns one number."""
    name: str


class OutputDirection(NamedTuple):
    """Independent normal numbers for each output, used in place of targets."""

    leaves: list[Any]


def mean_cross_entropy(outputs: Array, targets: Array) -> Array:
    """Return the mean over all integer targets of -log softmax(outputs)."""
    log_probabilities = jax.nn.log_softmax(widen(outputs))
    return -jnp.take_along_axis(log_probabilities, targets[..., None], axis=-1).mean()


def _mean_squared_error(outputs: Array, targets: Array) -> Array:
    """Return the mean over examples of the squared distance."""
    difference = outputs - targets
    return jnp.sum(difference**2) / difference.shape[0]


def project_outputs(outputs: PyTree, direction: OutputDirection) -> Array:
    """Return the inner product of each example's outputs with a direction, mean over examples.

    The gradient with respect to the outputs is isotropic, so that any structure in the gradients
    of the layers is due to the network.
    """
    total = jnp.zeros(())
    for leaf, numbers in zip(floating_leaves(outputs), direction.leaves, strict=True):
        total += jnp.sum(leaf.astype(jnp.float32) * numbers) / (leaf.shape[0] if leaf.ndim else 1)
    return total


def draw_direction(outputs: PyTree, key: Array) -> OutputDirection:
    """Draw a random direction for outputs of these shapes."""
    shapes = [leaf.shape for leaf in floating_leaves(outputs)]
    return OutputDirection([draw_normals(key, shape, 2 * n + 1) for n, shape in enumerate(shapes)])


def draw_normals(key: Array, shape: Sequence[int], number: int) -> np.ndarray:
    """Draw normal numbers with NumPy: compiling a program of JAX would take a second.

    Args:
      key: random key.
      shape: shape of the array.
      number: index of the array among those that are drawn with this key.
    """
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.key_data(key)
    entropy = np.asarray(key).ravel().tolist()
    return np.random.default_rng([*entropy, number]).standard_normal(shape, np.float32)


def choose_loss(loss: Loss | None, outputs: PyTree, targets: Sequence[PyTree]) -> ChosenLoss:
    """Return the user's loss, or the one that the targets imply.

    Args:
      loss: `loss(outputs, *targets)`, or None.
      outputs: outputs of the model, arrays or abstract arrays.
      targets: targets of the batch, at least one if there is no loss.

    Raises:
      ValueError: if there is no loss and the targets do not imply one.
    """
    if loss is not None:
        return ChosenLoss(partial(_call_loss, loss), getattr(loss, "__name__", "loss"))
    if isinstance(targets[0], OutputDirection):
        return ChosenLoss(
            lambda outputs, targets: project_outputs(outputs, targets[0]), "random direction"
        )
    leaves = jax.tree.leaves(outputs)
    if len(targets) == 1 and len(leaves) == 1 and hasattr(targets[0], "shape"):
        if _is_labels(leaves[0], targets[0]):
            return ChosenLoss(partial(_call_for_array, mean_cross_entropy), "cross-entropy")
        if targets[0].shape == leaves[0].shape:
            return ChosenLoss(partial(_call_for_array, _mean_squared_error), "mean squared error")
    raise ValueError(_unknown_loss_message(leaves, targets))


def _call_for_array(loss: Loss, outputs: PyTree, targets: Sequence[PyTree]) -> Array:
    """Return a loss of the only array of the outputs and the only target."""
    return loss(jax.tree.leaves(outputs)[0], targets[0])


def _call_loss(loss: Loss, outputs: PyTree, targets: Sequence[PyTree]) -> Array:
    value = loss(outputs, *targets)
    if jnp.shape(value):
        raise ValueError(
            f"loss: expected one number, a mean over examples, got shape {jnp.shape(value)}; "
            "take its mean"
        )
    return value


def _unknown_loss_message(leaves: Sequence[Any], targets: Sequence[PyTree]) -> str:
    shapes = ", ".join(str(getattr(leaf, "shape", leaf)) for leaf in leaves)
    given = ", ".join(
        f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "shape") else type(leaf).__name__
        for leaf in jax.tree.leaves(list(targets))
    )
    return (
        f"the targets ({given}) do not say which loss is meant for outputs of shape "
        f"{shapes}: integers of the outputs' shape without its last axis mean cross-entropy, if "
        "there are at least two classes; one array of the outputs' shape means mean squared error; "
        "squeeze outputs or reshape targets whose shapes differ by an axis of length 1; "
        "for any other loss give loss=lambda outputs, *targets: ..."
    )


def _is_labels(outputs: Any, targets: Any) -> bool:
    """Return True if the dtype and the shape of the targets are those of classes."""
    is_integer = jnp.issubdtype(targets.dtype, jnp.integer)
    return is_integer and targets.shape == outputs.shape[:-1] and outputs.shape[-1] > 1


def check_loss(name: str, loss: Any) -> None:
    """Raise if a loss is neither a function nor None.

    Raises:
      TypeError: if `loss` cannot be called.
    """
    if loss is not None and not callable(loss):
        raise TypeError(
            f"{name}: loss: expected a function loss(outputs, *targets), such as lambda outputs, "
            f"targets: ((outputs - targets) ** 2).mean(), got {loss!r}; without loss=, integer "
            "targets mean cross-entropy, targets with the shape of the outputs mean squared error"
        )


def check_labels(name: str, outputs: PyTree, targets: Any) -> None:
    """Raise if targets that mean cross-entropy are not classes of the outputs.

    Raises:
      ValueError: if a target is negative, or not below the length of the outputs' last axis.
    """
    leaves = jax.tree.leaves(outputs)
    if len(leaves) != 1 or not hasattr(targets, "shape") or not _is_labels(leaves[0], targets):
        return
    classes, labels = leaves[0].shape[-1], np.asarray(targets)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(
            f"{name}: the targets go from {labels.min()} to {labels.max()}, but the outputs have "
            f"{classes} classes, from 0 to {classes - 1}; give labels of that range, or a loss= "
            "that leaves the others out"
        )
