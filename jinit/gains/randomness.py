"""Recognition of arrays that look like independent draws, not like computed tables."""

import math
from collections.abc import Iterator

import numpy as np

_MIN_DISTINCT = 16
"""Distinct values below which an array says nothing: fewer can agree by chance or on purpose."""
_DISTINCT_SHARE = 0.4
"""Share of distinct magnitudes, among entries that are not zero, of an array of draws; two copies
of one draw, as W and -W, have one half. A Toeplitz or a cosine matrix has about 2 n of n²."""
_NARROW_DISTINCT = 64
"""Distinct values of a large array of 16-bit numbers that are enough."""
_RESOLUTION = 1e-5
"""Fraction of the largest entry up to which two entries count as the same value."""
_DEVIATIONS = 4.0
"""Standard deviations of a correlation of neighbors beyond which it is not chance (6e-5)."""
_MAX_CORRELATION = 0.8
"""Correlation of neighbors that a small array of draws does not exceed either."""


def looks_random(array: np.ndarray) -> bool:
    """Return whether an array looks like independent draws.

    Sinusoidal tables, ranges and their logarithms have correlated neighbors; Toeplitz, cosine and
    tiled matrices repeat their values. Orthogonal and sparse matrices look random.

    >>> looks_random(np.random.default_rng(0).normal(size=(8, 8)))
    True
    >>> looks_random(np.log(np.tile(np.arange(1.0, 17.0), (8, 1)))), looks_random(np.eye(8))
    (False, False)
    """
    values = np.asarray(array, np.float64)
    largest = np.abs(values).max(initial=0.0)
    if not (largest > 0 and math.isfinite(largest)):
        return False
    nonzero = np.abs(values[values != 0])
    distinct = len(np.unique(np.round(nonzero / (_RESOLUTION * largest))))
    # Numbers of 16 bits repeat by chance.
    is_narrow = np.array_equal(values, _round_to_half(values))
    enough = _DISTINCT_SHARE * nonzero.size
    if distinct < max(_MIN_DISTINCT, min(enough, _NARROW_DISTINCT) if is_narrow else enough):
        return False
    return not any(_is_correlated(*neighbors) for neighbors in _neighbors(values))


def _round_to_half(values: np.ndarray) -> np.ndarray:
    """Return the values with the eight digits of bfloat16 or the eleven of float16."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent)


def _neighbors(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of shifted arrays: neighbors along every axis, and along both diagonals."""
    for axis in range(values.ndim):
        yield np.delete(values, -1, axis), np.delete(values, 0, axis)
    if values.ndim > 1:
        yield values[..., :-1, :-1], values[..., 1:, 1:]
        yield values[..., :-1, 1:], values[..., 1:, :-1]


def _is_correlated(values: np.ndarray, others: np.ndarray) -> bool:
    """Return whether neighbors are more alike or more opposed than by chance."""
    if values.size < 3 or not (np.ptp(values) and np.ptp(others)):
        return False
    correlation = np.corrcoef(values.ravel(), others.ravel())[0, 1]
    return abs(correlation) > min(_MAX_CORRELATION, _DEVIATIONS / math.sqrt(values.size))
