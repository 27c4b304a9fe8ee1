"""Mean squares of the signal and its gradient at every layer, before any training."""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.judging.layers import layer_consumers
from jinit.diagnostics.measuring.losses import Loss
from jinit.diagnostics.measuring.measure import (
    Measurements,
    measure,
    read_iteration,
)
from jinit.model import LayerUse, Model, PyTree


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
    """Fraction of units whose activation is 0 for every example; NaN if no layer takes them in."""
    saturated_fraction: Array
    """Fraction of activations at a limit of a bounded activation; NaN if no layer takes them in."""


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
    consumers = [None if each is None else model.layers[each] for each in layer_consumers(model)]
    pairs = zip(model.layers, consumers, strict=True)
    layers = [_layer_signal(measurements, layer, consumer) for layer, consumer in pairs]
    return Signal(*(jnp.stack(column) for column in zip(*layers, strict=True)))


def _layer_signal(measurements: Measurements, layer: LayerUse, consumer: LayerUse | None) -> Signal:
    """Return the statistics of one layer, whose activations another one may take in."""
    statistics = measurements.layers[layer.contraction]
    preactivation, gradient = statistics.preactivation, statistics.gradient
    read = partial(read_iteration, iteration=layer.iteration)
    dead = saturated = jnp.full((), jnp.nan)
    if consumer is not None:
        activation = measurements.layers[consumer.contraction].input
        dead = read_iteration(activation.dead_fraction, consumer.iteration)
        saturated = read_iteration(activation.saturated_fraction, consumer.iteration)
    return Signal(
        activation_std=read(jnp.sqrt(jnp.maximum(preactivation.second - preactivation.mean**2, 0))),
        activation_second_moment=read(preactivation.second),
        gradient_std=read(jnp.sqrt(jnp.maximum(gradient.second - gradient.mean**2, 0))),
        dead_fraction=dead,
        saturated_fraction=saturated,
    )
