"""Epochs of minibatches as steps of a loop."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax import Array

State = TypeVar("State")
"""A tree of arrays that steps change."""
Noise = TypeVar("Noise")
"""A tree of random arrays."""
_MOST_NOISE = 2**24
"""Largest number of random numbers that are drawn at once, for all batches of an epoch: a third of
the time that small draws take one by one, with the same values."""
_UNROLLED = 2
"""Number of batches per iteration of the compiled loop."""
_MONITORED = 1000
"""Number of examples, drawn anew in each epoch, on which a model in training is measured."""


def count_batches(examples: int, batch_size: int) -> tuple[int, int]:
    """Return the number of batches of an epoch and their size.

    Args:
      examples: number of examples.
      batch_size: size of a batch, which is lowered to the number of examples.

    >>> count_batches(25, 10), count_batches(5, 10)
    ((2, 10), (1, 5))
    """
    size = min(examples, batch_size)
    return examples // size, size


def epoch_step(
    draw: Callable[[Array], Noise],
    step: Callable[[State, Array, Noise], State],
    measure: Callable[[State, Array, Array], dict[str, Array]],
    data: Array,
    key: Array,
    *,
    epochs: int,
    batch_size: int,
) -> Callable[[State, Array], tuple[State, dict[str, Array]]]:
    """Return the step of a loop over epochs, which measures at the end of each.

    Every epoch takes the examples in another order. The examples that fill no batch are left out,
    other ones in each epoch.

    Args:
      draw: `draw(key)` returns the noise of one batch.
      step: `step(state, batch, noise)` returns the state after one batch.
      measure: `measure(state, examples, key)` returns numbers by name.
      data: the examples, along axis 0.
      key: key of the orders and of all steps.
      epochs: number of epochs.
      batch_size: size of a batch.

    Returns:
      A function `(state, number)` that returns the state after an epoch, and the numbers.

    >>> def step(state, batch, noise):
    ...     return state + len(batch)
    >>> def measure(state, examples, key):
    ...     return {"seen": state}
    >>> import jax.numpy as jnp
    >>> data, key = jnp.zeros((25, 3)), jax.random.key(0)
    >>> run_epoch = epoch_step(lambda key: key, step, measure, data, key, epochs=2, batch_size=10)
    >>> run_epoch(jnp.zeros((), int), 0)[1]["seen"].item()
    20
    """
    batches, size = count_batches(len(data), batch_size)
    is_small = batches * _noise_size(draw, key) <= _MOST_NOISE
    epoch_keys = jax.random.split(key, epochs)

    def run_epoch(state: State, number: Array) -> tuple[State, dict[str, Array]]:
        order_key, step_key, measure_key = jax.random.split(epoch_keys[number], 3)
        shuffled = data[jax.random.permutation(order_key, len(data))]
        stacked = shuffled[: batches * size].reshape(batches, size, *data.shape[1:])
        keys = jax.random.split(step_key, batches)
        noise = jax.vmap(draw)(keys) if is_small else keys

        def run_batch(at: State, each: tuple[Array, Any]) -> tuple[State, None]:
            return step(at, each[0], each[1] if is_small else draw(each[1])), None

        state, _ = jax.lax.scan(run_batch, state, (stacked, noise), unroll=_UNROLLED)
        return state, measure(state, shuffled[:_MONITORED], measure_key)

    return run_epoch


def _noise_size(draw: Callable[[Array], Any], key: Array) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(draw, key)))
