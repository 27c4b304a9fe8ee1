"""Functions of one number, cut where they bend, so that Gauss–Legendre quadrature is exact."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre

Function = Callable[[np.ndarray], np.ndarray]
"""Many numbers to as many rows of values."""

_DEGREE = 16
_NODES, _WEIGHTS = legendre.leggauss(_DEGREE)
# From values at the nodes to coefficients of Legendre polynomials.
_TRANSFORM = (
    legendre.legvander(_NODES, _DEGREE - 1) * _WEIGHTS[:, None] * (np.arange(_DEGREE) + 0.5)
).T
_SIGNS = (-1.0) ** np.arange(_DEGREE)[:, None]
# Just inside the ends of an interval, to see what bends between an end and the outermost node.
_ENDS = np.array([-1.0, 1.0]) * (1 - 2.0**-36)
_AT_ENDS = legendre.legvander(_ENDS, _DEGREE - 1)
# A polynomial is exact if its last coefficients are below this share of the largest value.
_EXACT = 1e-13
# What two polynomials may differ by at the edge between them if nothing jumps there.
_SMOOTH = 1e-8
# An interval this narrow, relative to where it is, that is still rough holds a kink or a jump.
_NARROWEST = 2.0**-44
_MOST_INTERVALS = 2**15
# Rounding of a function that subtracts numbers of about one, such as 1 - cos, near its zero.
_ROUNDING = 2.0**-48


class Pieces(NamedTuple):
    """Intervals on each of which a function is a polynomial, as exactly as float64 can tell."""

    edges: np.ndarray
    kinks: np.ndarray
    """Edges at which one of the function's values jumps."""


def pieces(function: Function, start: np.ndarray, weight: Function) -> Pieces:
    """Halve the intervals between `start` until all are exact, then join those that need no edge.

    Args:
      function: several values of each number, such as a function and its slope.
      start: edges to begin with; what lies between two nodes of an interval may be overlooked.
      weight: what an error counts, by where it is; falls on both sides of zero.

    Raises:
      ValueError: the function is not finite, or bends nearly everywhere.

    >>> import numpy as np
    >>> found = pieces(lambda x: abs(x - 0.3)[:, None], np.array([-1.0, 1.0]), np.ones_like)
    >>> np.unique(found.edges.round(9)).tolist()
    [-1.0, 0.3, 1.0]
    """
    cutting, intervals = _cut(function, start, weight)
    while len(joined := cutting.joined(cutting.joined(intervals, 0), 1)) < len(intervals):
        intervals = joined
    return Pieces(_edges(intervals), cutting.jumps(intervals))


def fine_edges(function: Function, start: np.ndarray, weight: Function) -> np.ndarray:
    """Edges of all intervals that are exact, more than needed but found sooner.

    Args and errors: see `pieces`.

    >>> import numpy as np
    >>> found = fine_edges(lambda x: abs(x - 0.3)[:, None], np.array([0.0, 1.0]), np.ones_like)
    >>> bool(abs(found - 0.3).min() < 1e-9)
    True
    """
    return _edges(_cut(function, start, weight)[1])


def integral(function: Function, start: np.ndarray) -> np.ndarray:
    """Of several values at once, halving the intervals between `start` until all are exact.

    Errors: see `pieces`.

    >>> import numpy as np
    >>> integral(lambda x: np.exp(x)[:, None], np.array([0.0, 1.0])).round(12).tolist()
    [1.718281828459]
    """
    total = np.zeros(())
    for intervals, values, _ in _Cutting(function, np.ones_like).halving(_between(start)):
        total = total + np.einsum("in,inv->v", nodes(intervals)[1], values)
    return total


def nodes(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of quadrature over every interval between edges along the last axis."""
    half = np.diff(edges, axis=-1)[..., None] / 2
    middle = (edges[..., 1:] + edges[..., :-1])[..., None] / 2
    shape = (*edges.shape[:-1], (edges.shape[-1] - 1) * _DEGREE)
    return (middle + half * _NODES).reshape(shape), (half * _WEIGHTS).reshape(shape)


def _cut(function: Function, start: np.ndarray, weight: Function) -> tuple["_Cutting", np.ndarray]:
    """A cutting and its exact intervals; if rounding is all that bends, as exact as that allows."""
    cutting = _Cutting(function, weight)
    try:
        return cutting, cutting.fine(start)
    except _TooRoughError:
        cutting = _Cutting(function, weight, _ROUNDING)
        return cutting, cutting.fine(start)


def _edges(intervals: np.ndarray) -> np.ndarray:
    return np.append(intervals[:, 0], intervals[-1, 1])


def _between(edges: np.ndarray) -> np.ndarray:
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _polynomials(values: np.ndarray) -> np.ndarray:
    """Coefficients by interval, degree and value."""
    return np.einsum("cn,inv->icv", _TRANSFORM, values)


class _TooRoughError(ValueError):
    """A function bends nearly everywhere."""


@dataclass
class _Cutting:
    function: Function
    weight: Function
    noise: float = 0.0
    """By how much values may be off, whatever their size."""
    scale: np.ndarray = field(default_factory=lambda: np.zeros(()))
    """The largest weighted values so far."""

    def fine(self, start: np.ndarray) -> np.ndarray:
        """Intervals that are exact, cut between `start` and where there is a kink or a jump."""
        intervals, rough = self.halved(_between(start))
        return self.halved(_between(np.union1d(start, rough)))[0] if len(rough) else intervals

    def halved(self, pending: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Intervals that are exact, in order, and where they cannot be, however narrow."""
        done, _, rough = map(np.concatenate, zip(*self.halving(pending), strict=True))
        found = np.sort(rough)
        apart = np.diff(found, prepend=-np.inf) > 16 * _NARROWEST * np.maximum(1, np.abs(found))
        return done[np.argsort(done[:, 0])], found[apart]

    def halving(self, pending: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Intervals that are not halved any more, values at their nodes, and where that is so
        because they are narrow; step by step."""
        count = 0
        while len(pending):
            values = self._values(nodes(pending)[0])
            polynomials = _polynomials(values)
            coarse = ~(self._exact(pending, polynomials) & self._reach(pending, polynomials))
            middles = pending.mean(axis=1)
            narrow = np.diff(pending)[:, 0] < _NARROWEST * np.maximum(1, np.abs(middles))
            split = coarse & ~narrow
            yield pending[~split], values[~split], middles[coarse & narrow]
            left, middle, right = pending[split, 0], middles[split], pending[split, 1]
            pending = np.stack([[left, middle], [middle, right]]).transpose(0, 2, 1).reshape(-1, 2)
            count += len(pending)
            if count > _MOST_INTERVALS:
                raise _TooRoughError(
                    f"it bends in more than {_MOST_INTERVALS // 2} places, or does not compute in "
                    "float64"
                )

    def joined(self, intervals: np.ndarray, first: int) -> np.ndarray:
        """With one interval for every two neighbours, from the `first` on, that need no edge."""
        pairs = (len(intervals) - first) // 2
        if not pairs:
            return intervals
        left, right = (intervals[first + side :: 2][:pairs] for side in (0, 1))
        both = np.stack([left[:, 0], right[:, 1]], axis=1)
        as_one = self._fitted(both)
        fits = self._exact(both, as_one)
        for part in (left, right):
            points, _ = nodes(part)
            inside = (2 * points - both.sum(axis=1)[:, None]) / np.diff(both)
            said = np.einsum("inc,icv->inv", legendre.legvander(inside, _DEGREE - 1), as_one)
            error = np.abs(said - self._values(points)).max(axis=1) * self._weights(both)
            fits &= (error <= 16 * _EXACT * self.scale).all(axis=1)
        keep, merged = np.ones(len(intervals), bool), intervals.copy()
        merged[first : first + 2 * pairs : 2][fits] = both[fits]
        keep[first + 1 : first + 2 * pairs : 2] = ~fits
        return merged[keep]

    def jumps(self, intervals: np.ndarray) -> np.ndarray:
        """Edges at which the polynomials on both sides differ."""
        polynomials = self._fitted(intervals)
        from_left, from_right = polynomials.sum(axis=1), (polynomials * _SIGNS).sum(axis=1)
        edges = intervals[1:, 0]
        apart = np.abs(from_left[:-1] - from_right[1:]) * self.weight(edges)[:, None]
        return edges[(apart > _SMOOTH * self.scale).any(axis=1)]

    def _fitted(self, intervals: np.ndarray) -> np.ndarray:
        return _polynomials(self._values(nodes(intervals)[0]))

    def _values(self, points: np.ndarray) -> np.ndarray:
        """By interval, node and value."""
        flat = points.ravel()
        values = self.function(flat)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise ValueError(f"it is not finite at {flat[~finite][0]:.6g}")
        weighted = np.abs(values) * self.weight(flat)[:, None]
        self.scale = np.maximum(self.scale, weighted.max(axis=0, initial=0))
        return values.reshape(*points.shape, values.shape[1])

    def _exact(self, intervals: np.ndarray, polynomials: np.ndarray) -> np.ndarray:
        last = np.abs(polynomials[:, -3:]).max(axis=1) * self._weights(intervals)
        return (last <= _EXACT * self.scale + self.noise).all(axis=1)

    def _reach(self, intervals: np.ndarray, polynomials: np.ndarray) -> np.ndarray:
        """Whether the polynomials hold up to the ends of their intervals."""
        middles, halves = intervals.mean(axis=1)[:, None], np.diff(intervals) / 2
        seen = self._values(middles + halves * _ENDS)
        apart = np.abs(np.einsum("ec,icv->iev", _AT_ENDS, polynomials) - seen).max(axis=1)
        bound = _SMOOTH * self.scale + 1e3 * self.noise
        return (apart * self._weights(intervals) <= bound).all(axis=1)

    def _weights(self, intervals: np.ndarray) -> np.ndarray:
        """The most that an error counts within each interval."""
        nearest = np.clip(0.0, intervals[:, 0], intervals[:, 1])
        return self.weight(nearest)[:, None]
