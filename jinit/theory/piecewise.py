"""Partitions of an interval into pieces on which a function is a polynomial.

A function is called smooth on an interval if one polynomial of degree 15 represents it there to
float64 precision, and rough otherwise. Gauss–Legendre quadrature is then exact on every interval.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np

VectorFunction = Callable[[np.ndarray], np.ndarray]
"""A function of n numbers that returns n rows of values."""

# Quadrature nodes of an interval, and coefficients of a polynomial.
_NODE_COUNT = 16
# Just inside the ends of an interval, to detect kinks between an end and the outermost node.
_NEAR_END = 1 - 2.0**-36
# P_k(-1) of the Legendre polynomials.
_LEFT_END_SIGNS = (-1.0) ** np.arange(_NODE_COUNT)[:, None]
# A polynomial is exact if its last coefficients are below this fraction of the largest value.
_COEFFICIENT_TOLERANCE = 1e-13
# Two polynomials differ by less than this fraction at their common edge if nothing jumps there.
_JUMP_TOLERANCE = 1e-8
# A rough interval that is narrower than this, relative to its position, holds a kink or a jump.
_MIN_INTERVAL = 2.0**-44
# Each kink or jump takes about eight bisections until it is found.
_MAX_KINKS, _MAX_BISECTIONS = 2**14, 2**17
# Rounding error near a zero of a function that subtracts numbers of about one, such as 1 - cos.
_ROUNDING_ERROR = 2.0**-48
# Rounding error of an argument, relative to it.
_ARGUMENT_ERROR = 2.0**-50


class Pieces(NamedTuple):
    """Intervals on each of which a function is a polynomial, to float64 precision."""

    edges: np.ndarray
    """Edges of the intervals, in order."""
    kinks: np.ndarray
    """Edges at which one of the function's values jumps."""
    jumps: np.ndarray
    """Edges at which the first of the function's values jumps."""


def find_pieces(
    function: VectorFunction, initial_edges: np.ndarray, weight: VectorFunction
) -> Pieces:
    """Return the coarsest exact partition.

    Intervals are bisected until all are smooth, then neighbors are merged where one polynomial
    fits both.

    Args:
      function: several values of each number, such as a function and its slope.
      initial_edges: edges of the first intervals; a feature narrower than the distance of two
        quadrature nodes may be overlooked.
      weight: weight of an error at each point, decreasing in |x|.

    Raises:
      ValueError: if the function is not finite, or rough nearly everywhere.

    >>> import numpy as np
    >>> found = find_pieces(lambda x: abs(x - 0.3)[:, None], np.array([-1.0, 1.0]), np.ones_like)
    >>> np.unique(found.edges.round(9)).tolist()
    [-1.0, 0.3, 1.0]
    """
    bisection = _bisect_until_exact(function, initial_edges, weight)
    count = len(bisection.intervals) + 1
    while len(bisection.intervals) < count:
        count = len(bisection.intervals)
        bisection.merge_pairs(0)
        bisection.merge_pairs(1)
    return Pieces(bisection.edges, *bisection.find_jumps())


def find_fine_edges(
    function: VectorFunction, initial_edges: np.ndarray, weight: VectorFunction
) -> np.ndarray:
    """Return the edges of an exact partition that is finer than needed, but found faster.

    Args:
      function: several values of each number, such as a function and its slope.
      initial_edges: edges of the first intervals.
      weight: weight of an error at each point, decreasing in |x|.

    Raises:
      ValueError: if the function is not finite, or rough nearly everywhere.

    >>> import numpy as np
    >>> found = find_fine_edges(lambda x: abs(x - 0.3)[:, None], np.array([0.0, 1.0]), np.ones_like)
    >>> bool(abs(found - 0.3).min() < 1e-9)
    True
    """
    return _bisect_until_exact(function, initial_edges, weight).edges


def integrate(
    function: VectorFunction, initial_edges: np.ndarray, value_error: np.ndarray | float = 0.0
) -> np.ndarray:
    """Integrate a vector-valued function, bisecting intervals until it is smooth on each.

    Args:
      function: several values of each number.
      initial_edges: edges of the first intervals; the first and last are the limits.
      value_error: rounding error of each value.

    Raises:
      ValueError: if the function is not finite, or rough nearly everywhere.

    >>> import numpy as np
    >>> integrate(lambda x: np.exp(x)[:, None], np.array([0.0, 1.0])).round(12).tolist()
    [1.718281828459]
    """
    total = np.zeros(())
    bisection = _Bisection(function, np.ones_like, value_error)
    for step in bisection.bisection_steps(_intervals(initial_edges)):
        total = total + np.einsum("in,inv->v", legendre_nodes(step.intervals)[1], step.values)
    return total


def legendre_nodes(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return quadrature nodes and weights of the intervals between edges along the last axis.

    Args:
      edges: edges of the intervals, `(..., intervals + 1)`.

    Returns:
      Nodes and weights, `(..., 16 · intervals)` each.
    """
    basis = _legendre_basis()
    half = np.diff(edges, axis=-1)[..., None] / 2
    middle = (edges[..., 1:] + edges[..., :-1])[..., None] / 2
    shape = (*edges.shape[:-1], (edges.shape[-1] - 1) * _NODE_COUNT)
    return (middle + half * basis.nodes).reshape(shape), (half * basis.weights).reshape(shape)


class _LegendreBasis(NamedTuple):
    """Gauss–Legendre quadrature on [-1, 1], and the Legendre polynomials that go with it."""

    nodes: np.ndarray
    weights: np.ndarray
    transform: np.ndarray
    """Matrix from values at the nodes to coefficients of Legendre polynomials."""
    near_ends: np.ndarray
    """Values of the polynomials at ±_NEAR_END."""


@cache
def _legendre_basis() -> _LegendreBasis:
    from numpy.polynomial import legendre

    nodes, weights = legendre.leggauss(_NODE_COUNT)
    vandermonde = legendre.legvander(nodes, _NODE_COUNT - 1)
    return _LegendreBasis(
        nodes=nodes,
        weights=weights,
        transform=(vandermonde * weights[:, None] * (np.arange(_NODE_COUNT) + 0.5)).T,
        near_ends=legendre.legvander(_NEAR_END * np.array([-1.0, 1.0]), _NODE_COUNT - 1),
    )


def _legendre_coefficients(values: np.ndarray) -> np.ndarray:
    """Return coefficients `(interval, degree, value)` of values `(interval, node, value)`."""
    return np.einsum("cn,inv->icv", _legendre_basis().transform, values)


def _intervals(edges: np.ndarray) -> np.ndarray:
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _rounding_errors(intervals: np.ndarray, polynomials: np.ndarray) -> np.ndarray:
    """Return the errors of values whose arguments are rounded, `(interval, value)`.

    Next to a pole they are large, and bisection does not make them smaller.
    """
    largest = np.abs(intervals).max(axis=1, keepdims=True)
    slopes = 2 * np.abs(polynomials[:, 1:]).sum(axis=1) / np.diff(intervals)
    return _ARGUMENT_ERROR * largest * slopes


def _bisect_until_exact(
    function: VectorFunction, initial_edges: np.ndarray, weight: VectorFunction
) -> "_Bisection":
    """Return an exact partition; if only rounding errors are rough, one exact up to rounding."""
    bisection = _Bisection(function, weight)
    try:
        bisection.partition(initial_edges)
    except _TooRoughError:
        bisection = _Bisection(function, weight, value_error=_ROUNDING_ERROR)
        bisection.partition(initial_edges)
    return bisection


class _TooRoughError(ValueError):
    """A function is rough nearly everywhere."""


class _BisectionStep(NamedTuple):
    """The intervals that one step of bisection finishes."""

    intervals: np.ndarray
    """Intervals that are smooth, or too narrow to be bisected, `(intervals, 2)`."""
    values: np.ndarray
    """Function values at their nodes, `(intervals, nodes, values)`."""
    rough_points: np.ndarray
    """Middles of those that are too narrow."""


@dataclass
class _Bisection:
    """A partition of an interval, refined until a function is smooth on each part."""

    function: VectorFunction
    weight: VectorFunction
    value_error: np.ndarray | float = 0.0
    """Absolute error allowed in each value."""
    intervals: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    """The current partition, in order, `(intervals, 2)`."""
    largest_values: np.ndarray = field(default_factory=lambda: np.zeros(()))
    """The largest weighted values so far; every evaluation updates them."""

    @property
    def edges(self) -> np.ndarray:
        return np.append(self.intervals[:, 0], self.intervals[-1, 1])

    def partition(self, initial_edges: np.ndarray) -> None:
        """Bisect the intervals between `initial_edges`, then again with an edge at every kink."""
        rough_points = self._bisect(_intervals(initial_edges))
        if len(rough_points):
            self._bisect(_intervals(np.union1d(initial_edges, rough_points)))

    def _bisect(self, pending: np.ndarray) -> np.ndarray:
        """Set the partition to exact intervals; return the points where none can be exact."""
        steps = zip(*self.bisection_steps(pending), strict=True)
        intervals, _, rough_points = map(np.concatenate, steps)
        self.intervals = intervals[np.argsort(intervals[:, 0])]
        points = np.sort(rough_points)
        distance = np.diff(points, prepend=-np.inf)
        return points[distance > 16 * _MIN_INTERVAL * np.maximum(1, np.abs(points))]

    def bisection_steps(self, pending: np.ndarray) -> Iterator[_BisectionStep]:
        """Yield finished intervals, and bisect the others, until none is left."""
        count = 0
        while len(pending):
            values = self._evaluate(legendre_nodes(pending)[0])
            polynomials = _legendre_coefficients(values)
            rough = ~(
                self._is_exact(pending, polynomials) & self._is_exact_at_ends(pending, polynomials)
            )
            middles = pending.mean(axis=1)
            narrow = np.diff(pending)[:, 0] < _MIN_INTERVAL * np.maximum(1, np.abs(middles))
            split = rough & ~narrow
            yield _BisectionStep(pending[~split], values[~split], middles[rough & narrow])
            left, middle, right = pending[split, 0], middles[split], pending[split, 1]
            pending = np.stack([[left, middle], [middle, right]]).transpose(0, 2, 1).reshape(-1, 2)
            count += len(pending)
            if count > _MAX_BISECTIONS:
                raise _TooRoughError(
                    f"it has a pole or more than {_MAX_KINKS} kinks or jumps, or is "
                    "not computed in float64"
                )

    def merge_pairs(self, first: int) -> None:
        """Merge the pairs of neighbors, counted from `first`, where one polynomial fits both."""
        intervals = self.intervals
        pairs = (len(intervals) - first) // 2
        if not pairs:
            return
        left, right = (intervals[first + side :: 2][:pairs] for side in (0, 1))
        both = np.stack([left[:, 0], right[:, 1]], axis=1)
        polynomials = self._fit(both)
        fits = self._is_exact(both, polynomials)
        for half in (left, right):
            fits &= self._fits_half(polynomials, both, half)
        keep, merged = np.ones(len(intervals), bool), intervals.copy()
        merged[first : first + 2 * pairs : 2][fits] = both[fits]
        keep[first + 1 : first + 2 * pairs : 2] = ~fits
        self.intervals = merged[keep]

    def _fits_half(
        self, polynomials: np.ndarray, intervals: np.ndarray, half: np.ndarray
    ) -> np.ndarray:
        """Return whether polynomials of `intervals` are exact at the nodes of one half of each."""
        from numpy.polynomial import legendre

        points, _ = legendre_nodes(half)
        scaled = (2 * points - intervals.sum(axis=1)[:, None]) / np.diff(intervals)
        values = np.einsum("inc,icv->inv", legendre.legvander(scaled, _NODE_COUNT - 1), polynomials)
        error = np.abs(values - self._evaluate(points)).max(axis=1)
        error = error * self._interval_weights(intervals)
        return (error <= 16 * _COEFFICIENT_TOLERANCE * self.largest_values).all(axis=1)

    def find_jumps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the edges where any of the polynomials jumps, and those where the first does."""
        polynomials = self._fit(self.intervals)
        from_left, from_right = polynomials.sum(axis=1), (polynomials * _LEFT_END_SIGNS).sum(axis=1)
        edges = self.intervals[1:, 0]
        difference = np.abs(from_left[:-1] - from_right[1:]) * self.weight(edges)[:, None]
        is_jump = difference > _JUMP_TOLERANCE * self.largest_values
        return edges[is_jump.any(axis=1)], edges[is_jump[:, 0]]

    def _fit(self, intervals: np.ndarray) -> np.ndarray:
        return _legendre_coefficients(self._evaluate(legendre_nodes(intervals)[0]))

    def _evaluate(self, points: np.ndarray) -> np.ndarray:
        """Return values `(interval, node, value)` at points `(interval, node)`."""
        flat = points.ravel()
        values = self.function(flat)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise ValueError(f"it is not finite at {flat[~finite][0]:.6g}")
        weighted = np.abs(values) * self.weight(flat)[:, None]
        self.largest_values = np.maximum(self.largest_values, weighted.max(axis=0, initial=0))
        return values.reshape(*points.shape, values.shape[1])

    def _is_exact(self, intervals: np.ndarray, polynomials: np.ndarray) -> np.ndarray:
        """Return whether the last coefficients are negligible, by interval."""
        last = np.abs(polynomials[:, -3:]).max(axis=1)
        excess = (last - _rounding_errors(intervals, polynomials)) * self._interval_weights(
            intervals
        )
        bound = _COEFFICIENT_TOLERANCE * self.largest_values + self.value_error
        return (excess <= bound).all(axis=1)

    def _is_exact_at_ends(self, intervals: np.ndarray, polynomials: np.ndarray) -> np.ndarray:
        """Return whether the polynomials hold up to the ends of their intervals."""
        middles, halves = intervals.mean(axis=1)[:, None], np.diff(intervals) / 2
        # An end may be a pole, which the rounded points must not hit.
        inside = np.maximum(halves - 4 * np.spacing(np.abs(middles)), 0)
        values = self._evaluate(middles + np.minimum(halves * _NEAR_END, inside) * [-1.0, 1.0])
        fitted = np.einsum("ec,icv->iev", _legendre_basis().near_ends, polynomials)
        error = np.abs(fitted - values).max(axis=1) - _rounding_errors(intervals, polynomials)
        bound = _JUMP_TOLERANCE * self.largest_values + 1e3 * self.value_error
        return (error * self._interval_weights(intervals) <= bound).all(axis=1)

    def _interval_weights(self, intervals: np.ndarray) -> np.ndarray:
        """Return the largest weight within each interval, `(intervals, 1)`."""
        nearest = np.clip(0.0, intervals[:, 0], intervals[:, 1])
        return self.weight(nearest)[:, None]
