"""Mean squares of the signal and its gradient at every layer, before any training."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.measuring.losses import Loss
from jinit.diagnostics.measuring.measure import (
    Measurements,
    contraction_numbers,
    measure,
    read_iteration,
)
from jinit.model import Model, Place, PyTree


class Signal(NamedTuple):
    """Statistics by layer: arrays with one entry per layer, in execution order."""

    activation_std: Array
    """Standard deviation of the pre-activations over examples and units."""
    activation_second_moment: Array
    """Mean square of the pre-activations."""
    gradient_std: Array
    """Standard deviation of the loss gradient of one example with respect to the pre-activations,
    over examples and units."""
    dead_fraction: Array
    """Fraction of units whose activation is 0 for every example; NaN for the last layer."""
    saturated_fraction: Array
    """Fraction of activations at a limit of a bounded activation; NaN for the last layer."""


def signal(model: Model, params: PyTree, *batch: PyTree, loss: Loss) -> tuple[Array, Signal]:
    """Return the loss and the signal statistics of one forward and one backward pass.

    The result of every contraction of a kernel with a signal is a pre-activation; the signal that
    the next contraction takes in is its activation. The function is pure, so that it can be
    jitted and vmapped.

    Args:
      model: the traced network.
      params: its parameters.
      *batch: inputs as traced, then targets; axis 0 of the first input enumerates examples.
      loss: `loss(outputs, *targets)`, a mean over examples.

    Returns:
      The loss, and arrays with one entry per layer.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> x, w = jnp.ones((8, 4)), jnp.eye(4)
    >>> model = trace(lambda p, x: jnp.tanh(x @ p) @ p, w, x)
    >>> _, statistics = signal(model, w, x, loss=jnp.mean)
    >>> bool(jnp.allclose(statistics.activation_second_moment, jnp.array([1, jnp.tanh(1.0) ** 2])))
    True
    """
    inputs, targets = batch[: len(model.inputs)], batch[len(model.inputs) :]
    measurements = measure(model, params, inputs, lambda outputs: loss(outputs, *targets))
    return measurements.loss, layer_signals(model, measurements)


def layer_signals(model: Model, measurements: Measurements) -> Signal:
    """Return the signal statistics by layer.

    Args:
      model: the traced network.
      measurements: its measurements.
    """
    if not model.layers:
        return Signal(*(jnp.zeros(0) for _ in Signal._fields))
    numbers = contraction_numbers(model)
    rows = [
        _contraction_signal(model, measurements, number, numbers)
        for number in range(len(model.contractions))
    ]
    layers = [_layer_signal(rows[number], iteration) for number, iteration in model.layers]
    return Signal(*(jnp.stack(column) for column in zip(*layers, strict=True)))


def _contraction_signal(
    model: Model, measurements: Measurements, number: int, numbers: Mapping[Place, int]
) -> Signal:
    """Return the statistics of a contraction; inside a loop, with an axis for each loop."""
    layer = model.contractions[number]
    statistics = measurements.layers[number]
    preactivation, gradient = statistics.preactivation, statistics.gradient
    if layer.follower is None:
        dead = saturated = jnp.full(layer.loop_lengths, jnp.nan)
    else:
        activation = measurements.layers[numbers[layer.follower]].input
        dead, saturated = activation.dead_fraction, activation.saturated_fraction
    return Signal(
        activation_std=jnp.sqrt(jnp.maximum(preactivation.second - preactivation.mean**2, 0)),
        activation_second_moment=preactivation.second,
        gradient_std=jnp.sqrt(jnp.maximum(gradient.second - gradient.mean**2, 0)),
        dead_fraction=dead,
        saturated_fraction=saturated,
    )


def _layer_signal(row: Signal, iteration: int | None) -> Signal:
    """Return the statistics of one iteration; without a number, their means over all."""
    return Signal(*(read_iteration(value, iteration) for value in row))
