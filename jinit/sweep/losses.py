"""Losses of examples, and the loss of a task without one of its own."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

ExampleLoss = Callable[..., jax.Array]
"""A loss of outputs and targets, one number per example, or per example and position."""


def cross_entropy(
    outputs: jax.Array, targets: jax.Array, label_smoothing: float | jax.Array = 0.0
) -> jax.Array:
    """Return the softmax cross-entropy of logits with integer classes.

    With label smoothing s, the target distribution over k classes is 1 - s + s / k for the class
    and s / k for the others.

    Args:
      outputs: logits `[batch, ..., classes]`.
      targets: integer classes `[batch, ...]`.
      label_smoothing: s, from 0 to 1; an axis `label_smoothing` of a sweep sets it in training.

    Returns:
      One number per target.

    Reference: Szegedy et al., Rethinking the Inception architecture, 2016, section 7.

    >>> import jax.numpy as jnp
    >>> bool(jnp.allclose(cross_entropy(jnp.zeros((1, 10)), jnp.array([3])), jnp.log(10)))
    True
    """
    loss = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
    if isinstance(label_smoothing, float) and label_smoothing == 0:
        return loss
    uniform = jax.nn.logsumexp(outputs, axis=-1) - outputs.mean(-1)
    return loss + label_smoothing * (uniform - loss)


def squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Return the mean over outputs of the squared error.

    Args:
      outputs: an array `[batch, ...]`.
      targets: an array `[batch, ...]` with as many numbers per example.

    Returns:
      One number per example.

    >>> import jax.numpy as jnp
    >>> squared_error(jnp.array([[1.0, 3.0]]), jnp.array([[0.0, 0.0]])).tolist()
    [5.0]
    """
    flat_outputs = jnp.reshape(outputs, (outputs.shape[0], -1))
    flat_targets = jnp.reshape(targets, (targets.shape[0], -1))
    return jnp.mean((flat_outputs - flat_targets) ** 2, axis=-1)
