"""Normalization of the layers of the built-in networks."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array, lax

from jinit.choice import check_choice
from jinit.sweep.layers import Layer, add_last, check_rate

NORMALIZATIONS = ("none", "batch", "layer")
"""Kinds of normalization."""

# Flax's defaults.
_BATCH_EPSILON = 1e-5
_LAYER_EPSILON = 1e-6


@dataclass(frozen=True)
class Normalization:
    """A normalization with a learned scale and bias: of every unit, or of every example.

    `batch` takes means and variances over all axes but the last: those of the batch in training,
    and their moving averages in evaluation. `layer` takes them over the last axis.

    Args:
      kind: `none`, `batch` or `layer`.
      momentum: weight of the old value in moving averages.

    Raises:
      ValueError: if the kind is unknown, or the momentum is not from 0 to below 1.

    Reference: Ioffe and Szegedy, Batch normalization, 2015; Ba et al., Layer normalization, 2016.

    >>> sorted(Normalization("batch").draw_statistics(4))
    ['mean', 'var']
    """

    kind: str
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_choice("normalization", self.kind, NORMALIZATIONS)
        check_rate("statistics_momentum", self.momentum)

    def draw(self, units: int) -> dict[str, Array]:
        """Return a scale of ones and a bias of zeros; nothing for `none`."""
        if self.kind == "none":
            return {}
        return {"scale": jnp.ones(units), "bias": jnp.zeros(units)}

    def draw_statistics(self, units: int) -> dict[str, Array]:
        """Return moving averages of mean 0 and variance 1; nothing but for `batch`."""
        if self.kind != "batch":
            return {}
        return {"mean": jnp.zeros(units), "var": jnp.ones(units)}

    def train(self, layer: Layer, statistics: Layer, signal: Array) -> tuple[Array, Layer]:
        """Return the normalized signal and the updated moving averages."""
        if self.kind != "batch":
            return self.evaluate(layer, statistics, signal), statistics
        axes = tuple(range(signal.ndim - 1))
        mean = signal.mean(axes)
        variance = jnp.square(add_last(signal, -mean)).mean(axes)
        new = {"mean": mean, "var": variance}
        averages = {
            name: self.momentum * statistics[name] + (1 - self.momentum) * new[name] for name in new
        }
        return _scale(layer, add_last(signal, -mean), variance), averages

    def evaluate(self, layer: Layer, statistics: Layer, signal: Array) -> Array:
        """Return the normalized signal."""
        if self.kind == "none":
            return signal
        if self.kind == "layer":
            return normalize_layer(layer, signal)
        return _scale(layer, add_last(signal, -statistics["mean"]), statistics["var"])


def normalize_layer(layer: Layer, signal: Array) -> Array:
    """Return the signal with mean 0 and variance 1 over its last axis, then scaled and shifted.

    Args:
      layer: parameters `scale` and `bias`, `[units]`.
      signal: an array `[..., units]`.

    >>> layer = {"scale": jnp.ones(2), "bias": jnp.zeros(2)}
    >>> normalize_layer(layer, jnp.array([[1.0, 5.0]])).round(3).tolist()
    [[-1.0, 1.0]]
    """
    centered = signal - signal.mean(-1, keepdims=True)
    variance = jnp.square(centered).mean(-1, keepdims=True)
    scaled = centered * lax.rsqrt(variance + _LAYER_EPSILON)
    return add_last(scaled * _along_last(layer["scale"], signal), layer["bias"])


def _scale(layer: Layer, centered: Array, variance: Array) -> Array:
    factor = lax.rsqrt(variance + _BATCH_EPSILON) * layer["scale"]
    return add_last(centered * _along_last(factor, centered), layer["bias"])


def _along_last(vector: Array, signal: Array) -> Array:
    return lax.expand_dims(vector, range(signal.ndim - 1))
