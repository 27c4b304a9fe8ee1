"""The loss of a batch: the user's, or the one that the targets imply."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.model import Model, PyTree

TargetLoss = Callable[..., Array]
"""A loss `loss(outputs, *targets)`, a mean over examples."""


def check_target_loss(method: str, loss: object) -> None:
    """Raise if a loss is neither a function nor None.

    Args:
      method: name of the method.
      loss: what the user gave.

    Raises:
      TypeError: if it cannot be called.

    >>> check_target_loss("metainit", "mse")
    Traceback (most recent call last):
    TypeError: metainit: loss='mse', expected a function loss(outputs, *targets) or None
    """
    if loss is not None and not callable(loss):
        raise TypeError(
            f"{method}: loss={loss!r}, expected a function loss(outputs, *targets) or None"
        )


def are_labels(outputs: PyTree, targets: tuple[PyTree, ...]) -> bool:
    """Return True if the only target holds the numbers of classes, one for each row of outputs.

    Args:
      outputs: outputs of the model, arrays or abstract arrays.
      targets: targets of the batch.

    >>> are_labels(jnp.ones((8, 3)), (jnp.ones(8, int),))
    True
    """
    leaves, given = jax.tree.leaves(outputs), jax.tree.leaves(targets)
    if len(leaves) != 1 or len(given) != 1 or not leaves[0].ndim:
        return False
    is_integer = jnp.issubdtype(given[0].dtype, jnp.integer)
    return is_integer and given[0].shape == leaves[0].shape[:-1] and leaves[0].shape[-1] > 1


def batch_loss(
    method: str, model: Model, loss: TargetLoss | None
) -> Callable[[PyTree, DataBatches], Array]:
    """Return the loss of a batch as a function of the parameters and the batch, in float32.

    Integer targets mean cross-entropy, targets of the shape of the outputs the mean over examples
    of the squared distance, as in `jinit.diagnose`.

    Args:
      method: name of the method, for messages.
      model: the network.
      loss: the user's loss `loss(outputs, *targets)`; None for the one that the targets imply.

    >>> import numpy as np
    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: x @ w, jnp.ones((4, 3)), jnp.ones((8, 4)))
    >>> batch = DataBatches((jnp.ones((8, 4)),), (jnp.zeros(8, int),))
    >>> value = batch_loss("metainit", model, None)(jnp.zeros((4, 3)), batch)
    >>> bool(np.isclose(value, np.log(3)))
    True
    """

    def function(params: PyTree, batch: DataBatches) -> Array:
        outputs = model.apply(params, *batch.inputs)
        if loss is None:
            return _implied_loss(method, outputs, batch.targets)
        value = jnp.asarray(loss(outputs, *batch.targets))
        if value.shape:
            raise ValueError(
                f"{method}: the loss must return one number, a mean over examples, got the shape "
                f"{value.shape}; take its mean"
            )
        return _widen(value)

    return function


def _implied_loss(method: str, outputs: PyTree, targets: tuple[PyTree, ...]) -> Array:
    leaves, given = jax.tree.leaves(outputs), jax.tree.leaves(targets)
    if are_labels(outputs, targets):
        logarithms = jax.nn.log_softmax(_widen(leaves[0]))
        return -jnp.take_along_axis(logarithms, given[0][..., None], axis=-1).mean()
    if len(leaves) == 1 and len(given) == 1 and given[0].shape == leaves[0].shape:
        difference = _widen(leaves[0]) - given[0]
        return jnp.sum(difference**2) / max(difference.shape[0] if difference.ndim else 1, 1)
    raise ValueError(
        f"{method}: the targets ({_shapes(given) or 'none'}) do not say which loss is meant for "
        f"outputs of shape {_shapes(leaves)}: integers of the outputs' shape without its last axis "
        "mean cross-entropy, one array of the outputs' shape means mean squared error; for any "
        "other loss give loss=lambda outputs, *targets: ..."
    )


def _shapes(leaves: list[Any]) -> str:
    return ", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves)


def _widen(value: Array) -> Array:
    """Return an array in float32, or in its own precision if that is higher."""
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))
