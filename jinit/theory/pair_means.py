"""Means of products of an activation of two correlated normal variables."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jinit.theory.normal_means import (
    ActivationFunction,
    ActivationPieces,
    activation_means,
    activation_pieces,
    find_jump,
    normal_density,
    normal_nodes,
    standardized_activation,
    unit_edges,
)
from jinit.theory.piecewise import integrate, legendre_nodes

# Rounding error of the square of an activation, relative to it.
_ROUNDING = 2.0**-48
# Outer points of a double integral at once.
_OUTER_POINTS = 2**8
# Distance from a jump, relative to its position, at which both of its sides are evaluated.
_NEAR = 2.0**-36
# Hermite coefficients of a smooth activation, and the largest part of E[φ²] beyond them.
_HERMITE_DEGREES, _HERMITE_REMAINDER = 1500, 1e-13


class PairMeans(NamedTuple):
    """Means of φ(u) and φ(v), where u and v are jointly normal with mean 0."""

    product: float
    """E[φ(u)φ(v)]."""
    slope: float
    """Its derivative by the covariance; E[φ'(u)φ'(v)] where φ is continuous."""
    half_square: float
    """E[(φ(u) - φ(v))²] / 2, exact where u and v are nearly equal."""


@lru_cache(maxsize=512)
def pair_means(phi: ActivationFunction, q1: float, q2: float, angle: float) -> PairMeans:
    """Return the means of a pair of activations.

    Args:
      phi: a JAX function of one number.
      q1: variance of u.
      q2: variance of v.
      angle: arc cosine of the correlation of u and v, which tells correlations near 1 apart.

    Raises:
      ValueError: if φ is not finite, grows too fast, or is rough nearly everywhere.
    """
    if angle in (0.0, math.pi):
        return _collinear_means(phi, q1, q2, angle)
    series = _hermite_squares(phi, q1) if q1 == q2 else None
    if series is not None:
        return _series_means(series, q1, angle)
    return _double_integral(phi, q1, q2, angle)


def has_square_slope(phi: ActivationFunction, q: float) -> bool:
    """Return whether φ is continuous and E[φ'²] is finite, so that χ₁ is."""
    return math.isfinite(activation_means(phi, q).slope2) and find_jump(phi, q) is None


def _collinear_means(phi: ActivationFunction, q1: float, q2: float, angle: float) -> PairMeans:
    """Return the means for a correlation of 1 or -1."""
    if angle == 0 and q1 == q2:
        means = activation_means(phi, q1)
        slope = means.slope2 if has_square_slope(phi, q1) else math.inf
        return PairMeans(means.second, slope, 0.0)
    sign = 1.0 if angle == 0 else -1.0
    first, second = standardized_activation(phi, q1), standardized_activation(phi, q2)
    edges = np.union1d(first.edges, sign * second.edges)
    radius = min(first.edges[-1], second.edges[-1])
    z, weights = legendre_nodes(edges[np.abs(edges) <= radius])
    left, right = first.function(z), second.function(sign * z)
    weights = weights * normal_density(z, 1.0)
    product, slope = weights @ (left * right)
    half_square = weights @ (left[:, 0] - right[:, 0]) ** 2 / 2
    slope = float(slope) + _slope_of_jumps(phi, q1, q2, sign)
    if math.isinf(activation_means(phi, q1).slope2):
        slope = math.copysign(math.inf, slope)
    return PairMeans(float(product), slope, float(half_square))


def _slope_of_jumps(phi: ActivationFunction, q1: float, q2: float, sign: float) -> float:
    """Return the part of E[φ'(√q1 z) φ'(± √q2 z)] that jumps of φ add."""
    pieces = activation_pieces(phi, q1), activation_pieces(phi, q2)
    (first, first_heights), (second, second_heights) = map(_jumps, pieces)
    meets = np.abs(np.subtract.outer(first, sign * second)) < 1e-9
    weights = np.outer(first_heights, second_heights) * normal_density(first, 1.0)[:, None]
    infinite = float((meets * weights).sum())
    if infinite:
        return math.copysign(math.inf, infinite)
    opposite = _slopes(pieces[1], sign * first), _slopes(pieces[0], sign * second)
    return float(
        (first_heights * opposite[0]) @ normal_density(first, 1.0) / math.sqrt(q1)
        + (second_heights * opposite[1]) @ normal_density(second, 1.0) / math.sqrt(q2)
    )


def _jumps(pieces: ActivationPieces) -> tuple[np.ndarray, np.ndarray]:
    """Return the places z at which φ jumps, and by how much."""
    distance = _NEAR * np.maximum(1, np.abs(pieces.jumps))
    left, right = (pieces.function(pieces.jumps + side * distance)[:, 0] for side in (-1, 1))
    return pieces.jumps, right - left


def _slopes(pieces: ActivationPieces, places: np.ndarray) -> np.ndarray:
    """Return φ' at places z, in the middle between both sides of a kink."""
    distance = _NEAR * np.maximum(1, np.abs(places))
    left, right = (pieces.function(places + side * distance)[:, 1] for side in (-1, 1))
    return (left + right) / 2


@lru_cache(maxsize=128)
def _hermite_squares(phi: ActivationFunction, q: float) -> np.ndarray | None:
    """Return the squares of the Hermite coefficients of φ(√q z), or None if they decay slowly."""
    pieces = activation_pieces(phi, q)
    if len(pieces.kinks):
        return None
    z, weights = normal_nodes(_thirds(np.union1d(pieces.edges, unit_edges())))
    current = weights * pieces.function(z)[:, 0]
    remainder = second = activation_means(phi, q).second
    previous, squares = np.zeros_like(z), []
    for degree in range(_HERMITE_DEGREES):
        squares.append(current.sum() ** 2)
        remainder -= squares[-1]
        is_last = max(squares[-8:]) < 1e-5 * _HERMITE_REMAINDER * second
        if is_last and abs(remainder) < _HERMITE_REMAINDER * second:
            return np.array(squares)
        following = (z * current - math.sqrt(degree) * previous) / math.sqrt(degree + 1)
        previous, current = current, following
    return None


def _thirds(edges: np.ndarray) -> np.ndarray:
    """Return the edges with two more in each interval, for functions that oscillate faster."""
    parts = edges[:-1, None] + np.diff(edges)[:, None] * np.arange(3) / 3
    return np.append(parts.ravel(), edges[-1])


def _series_means(squares: np.ndarray, q: float, angle: float) -> PairMeans:
    """Return the means from Mehler's formula, E[φ(u)φ(v)] = Σ a_k² cᵏ."""
    degrees = np.arange(len(squares))
    cosine = math.cos(angle)
    powers = np.append(1.0, np.cumprod(np.full(len(squares) - 1, cosine)))
    slope = (degrees[1:] * squares[1:]) @ powers[:-1] / q
    if cosine > 0:
        log_cosine = math.log1p(-2 * math.sin(angle / 2) ** 2)
        losses = -np.expm1(degrees * log_cosine)
    else:
        losses = 1 - powers
    return PairMeans(float(squares @ powers), float(slope), float(squares @ losses))


def _double_integral(phi: ActivationFunction, q1: float, q2: float, angle: float) -> PairMeans:
    """Integrate over the half sum x and the half difference d of u/√q1 and v/√q2.

    x and d are independent. As functions of x both factors are polynomials between edges that d
    shifts; the inner mean is rough only at those d where two kinks coincide.
    """
    kinks = activation_pieces(phi, q1).kinks, activation_pieces(phi, q2).kinks
    x_std, d_std = math.cos(angle / 2), math.sin(angle / 2)
    has_slope = has_square_slope(phi, q1) and has_square_slope(phi, q2)

    def density_integrand(d: np.ndarray) -> np.ndarray:
        parts = np.array_split(d[:, None], max(1, len(d) // _OUTER_POINTS))
        inner = np.concatenate([_inner_means(phi, q1, q2, x_std, part) for part in parts])
        product, half_square, slopes, curvature = inner.T
        if not has_slope:
            # By partial integration, for G = (φ(u) - φ(v))²/2: its derivative by u and v is
            # -φ'(u)φ'(v), and (∂²/∂x² - ∂²/∂d²)/4 in x and d.
            spread = ((d / d_std) ** 2 - 1) / d_std**2
            slopes = (half_square * spread - curvature) / (4 * math.sqrt(q1 * q2))
        rows = np.stack([product, slopes, half_square], axis=1)
        return rows * normal_density(d, d_std)[:, None]

    coincidences = np.subtract.outer(*kinks).ravel() / 2
    units = d_std * unit_edges()
    edges = np.union1d(units, coincidences[np.abs(coincidences) < units[-1]])
    # The difference φ(u) - φ(v), about as large as d, has the rounding error of φ; the density of d
    # is about 1 / d_std.
    second = max(activation_means(phi, q).second for q in (q1, q2))
    errors = _ROUNDING * second * np.array([0.0, 1 / d_std**2 / math.sqrt(q1 * q2), 1.0])
    return PairMeans(*map(float, integrate(density_integrand, edges, errors)))


def _inner_means(
    phi: ActivationFunction, q1: float, q2: float, std: float, d: np.ndarray
) -> np.ndarray:
    """Return means over x of φ(x + d) φ(x - d) and related terms, `(len(d), 4)`.

    These are the product, G = (φ(x + d) - φ(x - d))²/2, the product of the slopes, and the second
    derivative of G by x, the last by partial integration.

    Args:
      phi: a JAX function of one number.
      q1: variance of u.
      q2: variance of v.
      std: standard deviation of x.
      d: half differences, `(n, 1)`.
    """
    units = std * unit_edges()
    edges = [
        activation_pieces(phi, q1).edges - d,
        activation_pieces(phi, q2).edges + d,
        np.broadcast_to(units, (len(d), len(units))),
    ]
    x, weights = legendre_nodes(
        np.sort(np.clip(np.concatenate(edges, axis=1), units[0], units[-1]), axis=1)
    )
    shape = (*x.shape, 2)
    left = standardized_activation(phi, q1).function((x + d).ravel()).reshape(shape)
    right = standardized_activation(phi, q2).function((x - d).ravel()).reshape(shape)
    for values in (left, right):  # rounding may put a node on an integrable pole
        values[~np.isfinite(values)] = 0.0
    product, slopes = np.moveaxis(left * right, -1, 0)
    half_square = (left[..., 0] - right[..., 0]) ** 2 / 2
    spread = ((x / std) ** 2 - 1) / std**2
    terms = np.stack([product, half_square, slopes, half_square * spread])
    return np.einsum("dn,tdn->dt", weights * normal_density(x, std), terms)
