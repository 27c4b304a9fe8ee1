"""The distribution of the entries of an array, as values at the nodes of a normal number."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

_PANELS, _PANEL_NODES, _EDGE = 16, 8, 8.0
"""Panels of Gauss–Legendre nodes from -8 to 8 standard deviations, so that a kink at a whole
number lies between two panels."""

_bases = itertools.count()


@lru_cache(maxsize=1)
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    """Return nodes of a standard normal number, and their weights."""
    points, weights = np.polynomial.legendre.leggauss(_PANEL_NODES)
    width = 2 * _EDGE / _PANELS
    starts = -_EDGE + width * np.arange(_PANELS)
    z = (starts[:, None] + width * (points + 1) / 2).ravel()
    density = np.exp(-(z**2) / 2) * np.tile(weights, _PANELS)
    return z.astype(np.float32), (density / density.sum()).astype(np.float32)


@dataclass(frozen=True)
class Spread:
    """The distribution of the entries of an array: a function of one normal number, or a constant.

    Args:
      values: values at the nodes of the normal number; one number for a constant.
      base: number of the normal number; arrays with equal ones are functions of the same number.

    >>> relu = Spread.normal(jnp.zeros(()), jnp.ones(())).map(lambda z: jnp.maximum(z, 0))
    >>> round(float(relu.second), 4)
    0.5
    """

    values: Array
    base: int | None

    @classmethod
    def constant(cls, value: Any) -> "Spread":
        """Return a distribution of one value."""
        return cls(jnp.asarray(value), None)

    @classmethod
    def normal(cls, mean: Array, variance: Array) -> "Spread":
        """Return a normal distribution that is independent of all others."""
        z, _ = _nodes()
        return cls(mean + jnp.sqrt(jnp.maximum(variance, 0)) * z, next(_bases))

    @classmethod
    def of_entries(cls, array: Array) -> "Spread":
        """Return a normal distribution with the mean and the variance of an array's entries."""
        entries = jnp.asarray(array, jnp.float32)
        return cls.normal(entries.mean(), entries.var())

    @classmethod
    def mixture(cls, parts: Sequence["Spread"], shares: Sequence[float]) -> "Spread":
        """Return a normal distribution with the moments of a mixture."""
        weighted = list(zip(parts, shares, strict=True))
        mean = jnp.sum(jnp.stack([share * part.mean for part, share in weighted]))
        second = jnp.sum(jnp.stack([share * part.second for part, share in weighted]))
        return cls.normal(mean, second - mean**2)

    @property
    def mean(self) -> Array:
        """Mean of the entries."""
        return self._expect(lambda values: values)

    @property
    def second(self) -> Array:
        """Mean square of the entries."""
        return self._expect(jnp.square)

    @property
    def variance(self) -> Array:
        """Variance of the entries."""
        return jnp.maximum(self.second - self.mean**2, 0)

    def _expect(self, function: Callable[[Array], Array]) -> Array:
        values = function(self.values.astype(jnp.float32))
        return values if self.base is None else jnp.dot(_nodes()[1], values)

    def map(self, function: Callable[[Array], Array]) -> "Spread":
        """Return the distribution of a function of the entries."""
        return Spread(function(self.values), self.base)

    def largest(self, count: int) -> "Spread":
        """Return the distribution of the largest of several independent entries.

        Its quantiles are those of the entries: P(largest ≤ v) = P(entry ≤ v)^count.

        Args:
          count: number of entries.
        """
        if self.base is None or count == 1:
            return self
        _, weights = _nodes()
        order = jnp.argsort(self.values)
        values = self.values[order].astype(jnp.float32)
        below = jnp.clip(jnp.cumsum(jnp.asarray(weights)[order]), 0, 1) ** count
        chances = jnp.diff(below, prepend=0.0)
        mean = jnp.dot(chances, values) / below[-1]
        second = jnp.dot(chances, values**2) / below[-1]
        return Spread.normal(mean, second - mean**2)


def combine(operation: Callable[[list[Array]], Array], operands: Sequence[Spread]) -> Spread:
    """Return the distribution of an elementwise operation on independent arrays.

    Operands with one base are combined entry by entry. Two bases are integrated over both; further
    ones count by their means.

    Args:
      operation: function of arrays of equal shapes.
      operands: the distributions of the operands.
    """
    bases = list(dict.fromkeys(each.base for each in operands if each.base is not None))
    z, weights = _nodes()
    if len(bases) <= 1:
        shape = (z.size,) if bases else ()
        values = operation([jnp.broadcast_to(each.values, shape) for each in operands])
        return Spread(values, bases[0] if bases else None)
    grids = [_on_grid(each, bases[:2], z.size) for each in operands]
    values = operation(grids).astype(jnp.float32)
    mean = jnp.einsum("i,ij,j", weights, values, weights)
    second = jnp.einsum("i,ij,j", weights, values**2, weights)
    return Spread.normal(mean, second - mean**2)


def _on_grid(spread: Spread, bases: Sequence[int], size: int) -> Array:
    """Return values over the nodes of two normal numbers."""
    if spread.base is None or spread.base not in bases:
        mean = spread.values if spread.base is None else spread.mean.astype(spread.values.dtype)
        return jnp.broadcast_to(mean, (size, size))
    values = spread.values
    column = values[:, None] if spread.base == bases[0] else values[None]
    return jnp.broadcast_to(column, (size, size))
