"""Means over examples that can be merged over batches."""

from typing import NamedTuple, Self

import jax.numpy as jnp
from jax import Array


class Mean(NamedTuple):
    """A weighted mean over examples, which `evaluate` of a trial may return for a metric.

    Means of batches merge into the mean over all examples, whatever the sizes of the batches.

    Reference: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
    sample variances, 1979.

    >>> import jax.numpy as jnp
    >>> first, second = Mean.of(jnp.array([1.0, 2.0])), Mean.of(jnp.array([6.0]))
    >>> float(first.merge(second).value), float(Mean.of(jnp.array([1.0, 3.0])).error)
    (3.0, 0.7071067690849304)
    """

    value: Array
    """The mean, sum of w v over sum of w."""
    weight: Array
    """Sum of the weights w."""
    spread: Array
    """Sum of w (v - mean)^2."""
    squared_weight: Array
    """Sum of w^2."""

    @classmethod
    def of(cls, values: Array, weights: Array | None = None) -> Self:
        """Return the mean of an array.

        Args:
          values: any array.
          weights: weights of at least 0, whose shape is the beginning of that of the values; equal
            ones by default. Values of weight 0 are left out, NaN among them.
        """
        values = jnp.asarray(values)
        shape = (1,) * values.ndim if weights is None else weights.shape
        given = jnp.ones(shape, values.dtype) if weights is None else weights.astype(values.dtype)
        aligned = jnp.reshape(given, given.shape + (1,) * (values.ndim - given.ndim))
        full = jnp.broadcast_to(aligned, values.shape)
        weight = full.sum()
        kept = values if weights is None else jnp.where(full > 0, values, 0)
        value = (full * kept).sum() / jnp.where(weight > 0, weight, 1)
        spread = (full * (kept - value) ** 2).sum()
        return cls(value, weight, spread, jnp.square(full).sum())

    def merge(self, other: "Mean") -> "Mean":
        """Return the mean over the examples of both.

        Args:
          other: mean over other examples.
        """
        weight = self.weight + other.weight
        share = other.weight / jnp.where(weight > 0, weight, 1)
        difference = other.value - self.value
        return Mean(
            value=self.value + difference * share,
            weight=weight,
            spread=self.spread + other.spread + difference**2 * share * self.weight,
            squared_weight=self.squared_weight + other.squared_weight,
        )

    @property
    def error(self) -> Array:
        """Standard error of the mean over the examples."""
        weight = jnp.where(self.weight > 0, self.weight, 1)
        return jnp.sqrt(self.spread / weight) * jnp.sqrt(self.squared_weight) / weight


def as_mean(metric: Array | Mean, examples: int) -> Mean:
    """Return a metric as a mean: a number counts as the mean over the examples of its batch.

    Args:
      metric: what `evaluate` returned.
      examples: number of examples of the batch.

    >>> float(as_mean(0.5, 10).weight)
    10.0
    """
    if isinstance(metric, Mean):
        return metric
    value = jnp.asarray(metric, jnp.float32)
    count = jnp.full((), examples, jnp.float32)
    return Mean(value, count, jnp.full((), jnp.nan), count)


def mean_values(means: dict[str, Mean]) -> dict[str, Array]:
    """Return the values by metric, and the standard errors of those that know them.

    >>> sorted(mean_values({"loss": Mean.of(jnp.ones(3))}))
    ['loss', 'loss_error']
    """
    values = {name: mean.value for name, mean in means.items()}
    return values | {f"{name}_error": mean.error for name, mean in means.items()}
