"""Poles of an activation: how fast its square and the square of its slope grow there."""

import math
from typing import NamedTuple

import numpy as np

from jinit.theory.piecewise import VectorFunction, legendre_nodes

# An interval too narrow to be bisected, relative to its position, holds a kink, a jump or a pole.
_NARROW_INTERVAL = 2.0**-43
# Distances, relative to the position, between which growth is measured.
_FAR, _NEAR = 2.0**-24, 2.0**-34
# The exponent of 1/√|x|, squared, is 1; it is measured with errors of about 1e-4.
_EXPONENT_ERROR = 1e-3
# Smaller exponents belong to logarithms, kinks and jumps, about which quadrature misses nothing.
_SMALLEST_EXPONENT = 0.2


class Singularity(NamedTuple):
    """A place where a function is not a polynomial on either side, however near."""

    place: float
    """Its position."""
    exponent: float
    """α, where φ² grows as |x|^-α with the distance x; 1 if it is not integrable."""
    slope_exponent: float
    """Exponent with which φ'² grows; 1 if it is not integrable."""
    missing: float
    """Integral of φ² over the narrow intervals about the place, less what quadrature yields."""


def find_singularities(function: VectorFunction, edges: np.ndarray) -> tuple[Singularity, ...]:
    """Return the singularities of a function at the narrowest intervals of its exact partition.

    Args:
      function: maps n numbers to φ and φ', `(n, 2)`.
      edges: edges of the partition, in order.

    >>> import numpy as np
    >>> edges = np.array([-1.0, -(2.0**-50), 2.0**-50, 1.0])
    >>> (found,) = find_singularities(lambda x: np.stack([1 / x, -1 / x**2], axis=1), edges)
    >>> found.place, found.exponent
    (0.0, 1.0)
    """
    narrow = np.diff(edges) < _NARROW_INTERVAL * np.maximum(1, np.abs(edges[:-1]))
    if not narrow.any():
        return ()
    starts = np.flatnonzero(np.diff(narrow.astype(int), prepend=0) == 1)
    ends = np.flatnonzero(np.diff(narrow.astype(int), append=0) == -1) + 1
    left, right = edges[starts], edges[ends]
    places = (left + right) / 2
    units = np.maximum(1, np.abs(places))[:, None]
    distances = units * np.array([-_FAR, -_NEAR, _NEAR, _FAR])
    squares = function((places[:, None] + distances).ravel()).reshape(len(places), 4, 2) ** 2
    far, near = squares[:, [0, 3]], squares[:, [1, 2]]  # place, side, value or slope
    exponents = _exponents(far, near)
    missing = _integrals(exponents[..., 0], near[..., 0], units * _NEAR, (right - left) / 2)
    for index in np.flatnonzero(missing):
        x, weights = legendre_nodes(edges[starts[index] : ends[index] + 1])
        missing[index] -= weights @ function(x)[:, 0] ** 2
    found = np.stack([places, *exponents.max(axis=1).T, missing], axis=1)
    return tuple(Singularity(*map(float, row)) for row in found)


def _exponents(far: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return the exponents with which positive numbers grow from the far to the near distance."""
    tiny = np.finfo(float).tiny
    ratio = np.log(np.maximum(near, tiny)) - np.log(np.maximum(far, tiny))
    exponents = ratio / math.log(_FAR / _NEAR)
    return np.where((exponents > 1 - _EXPONENT_ERROR) & (far > 0), 1.0, np.maximum(exponents, 0))


def _integrals(
    exponents: np.ndarray, near: np.ndarray, distance: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Return the integrals over both sides of powers that have the values `near` at a distance."""
    is_power = (exponents > _SMALLEST_EXPONENT) & (exponents < 1)
    exponents = np.where(is_power, exponents, 0.0)
    ends = near * (distance / width[:, None]) ** exponents
    sides = np.where(is_power, ends * width[:, None] / (1 - exponents), 0.0)
    return sides.sum(axis=1)
