"""Means of an activation over one or two normal variables, in float64."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jinit.theory.piecewise import (
    VectorFunction,
    find_fine_edges,
    find_pieces,
    integrate,
    legendre_nodes,
)

ActivationFunction = Callable[..., Any]
"""A JAX function of one number, or of two for a gated unit, that returns one number."""

# Beyond thirteen standard deviations the normal density is below 2e-37 of its maximum.
_MAX_Z = 13.0
_UNIT_EDGES = np.linspace(-_MAX_Z, _MAX_Z, 27)
# Finer towards zero: the larger the variance of the inputs, the closer are kinks to zero in z.
_FINE_EDGES = 2.0 ** -np.arange(41)
_INITIAL_EDGES = np.unique(np.concatenate([_UNIT_EDGES, -_FINE_EDGES, _FINE_EDGES]))
# Points that one compiled call evaluates, and outer points of a double integral at once.
_POINTS_PER_CALL = 2**13
_OUTER_POINTS = 2**8
# The largest accepted truncation error, relative to E[φ²].
_TAIL_TOLERANCE = 1e-10
# An interval too narrow to be bisected, relative to its position, holds a kink, a jump or a pole.
# Only a pole whose square is not integrable contributes noticeably to E[φ²].
_NARROW_INTERVAL = 2.0**-43
_POLE_SHARE = 1e-3


class StandardizedActivation(NamedTuple):
    """An activation of normal inputs of a given variance, as a function of a standard normal z."""

    function: VectorFunction
    """Maps n values of z to φ and φ', `(n, 2)`."""
    edges: np.ndarray
    """Edges of intervals on each of which both are polynomials, to float64 precision."""


class ActivationPieces(NamedTuple):
    """A standardized activation on its coarsest exact partition."""

    function: VectorFunction
    """Maps n values of z to φ and φ', `(n, 2)`."""
    edges: np.ndarray
    """Edges of intervals on each of which both are polynomials, to float64 precision."""
    kinks: np.ndarray
    """Edges at which φ or φ' jumps."""


class ActivationNodes(NamedTuple):
    """Quadrature nodes of a standard normal z, and the activation there."""

    z: np.ndarray
    """Nodes."""
    weights: np.ndarray
    """Probabilities of the nodes."""
    value: np.ndarray
    """φ at the nodes."""
    slope: np.ndarray
    """φ' at the nodes."""


class ActivationMeans(NamedTuple):
    """Means of φ(h), where h is normal with mean 0 and variance q."""

    mean: float
    """E[φ]."""
    second: float
    """E[φ²]."""
    variance: float
    """E[(φ - E[φ])²]."""
    slope2: float
    """E[φ'²]."""
    q_derivative: float
    """∂E[φ²] / ∂q."""


@lru_cache(maxsize=512)
def activation_means(phi: ActivationFunction, q: float) -> ActivationMeans:
    """Return the means of an activation of one number.

    Args:
      phi: a JAX function of one number.
      q: variance of the pre-activations.

    Raises:
      ValueError: if φ is not finite, grows too fast, has a pole, or is rough nearly everywhere.
    """
    function, edges = standardized_activation(phi, q)
    z, weights = _normal_nodes(edges)
    value, slope = function(z).T
    mean = float(weights @ value)
    means = ActivationMeans(
        mean=mean,
        second=float(weights @ value**2),
        variance=float(weights @ (value - mean) ** 2),
        slope2=float(weights @ slope**2),
        q_derivative=float(weights @ (value**2 * (z**2 - 1))) / (2 * q),
    )
    largest_at_ends = (function(_UNIT_EDGES[[0, -1]])[:, 0] ** 2).max()
    if largest_at_ends * _normal_density(_MAX_Z, 1.0) * _MAX_Z > _TAIL_TOLERANCE * means.second:
        raise ValueError("it grows too fast to have a mean over a normal variable")
    _check_poles(z, weights * value**2, math.sqrt(q))
    return means


def _check_poles(z: np.ndarray, terms: np.ndarray, std: float) -> None:
    """Raise if intervals too narrow to be bisected contribute noticeably to E[φ²]."""
    nodes_per_interval = len(legendre_nodes(np.zeros(2))[0])
    nodes = z.reshape(-1, nodes_per_interval)
    is_narrow = np.ptp(nodes, axis=1) < _NARROW_INTERVAL * np.maximum(1, np.abs(nodes[:, 0]))
    shares = np.where(is_narrow, terms.reshape(nodes.shape).sum(axis=1), 0.0)
    if shares.sum() > _POLE_SHARE * terms.sum():
        place = std * float(nodes[np.argmax(shares)].mean())
        raise ValueError(
            f"it has a pole near {round(place, 6) + 0.0:g}, where its square has no mean"
        )


def shifted_quadrature(
    phi: ActivationFunction, edges: np.ndarray, scale: float, shift: float
) -> ActivationNodes:
    """Return nodes of z between the edges, with φ and φ' at `scale · z + shift`."""
    z, weights = _normal_nodes(edges[np.abs(edges) < _MAX_Z])
    return ActivationNodes(z, weights, *_value_and_slope(phi)(scale * z + shift).T)


def normal_quadrature(phi: ActivationFunction, q: float) -> ActivationNodes:
    """Return nodes of z whose weights sum to 1, with φ and φ' at √q z."""
    function, edges = standardized_activation(phi, q)
    z, weights = _normal_nodes(edges)
    return ActivationNodes(z, weights / weights.sum(), *function(z).T)


@lru_cache(maxsize=512)
def pair_means(phi: ActivationFunction, q1: float, q2: float, c: float) -> tuple[float, float]:
    """Return E[φ(u)φ(v)] and E[φ'(u)φ'(v)].

    u and v are normal with variances q1 and q2 and correlation c. With u = √q1 (x + d) and
    v = √q2 (x - d), x and d are independent. As functions of x both factors are polynomials
    between edges that d shifts; the inner mean is rough only at those d where two kinks coincide.
    """
    if abs(c) == 1:
        return _collinear_means(phi, q1, q2, c)
    kinks = activation_pieces(phi, q1).kinks, activation_pieces(phi, q2).kinks
    x_std, d_std = math.sqrt((1 + c) / 2), math.sqrt((1 - c) / 2)

    def density_integrand(d: np.ndarray) -> np.ndarray:
        parts = np.array_split(d[:, None], max(1, len(d) // _OUTER_POINTS))
        inner = np.concatenate([_inner_means(phi, q1, q2, x_std, part) for part in parts])
        return inner * _normal_density(d, d_std)[:, None]

    coincidences = np.subtract.outer(*kinks).ravel() / 2
    units = d_std * _UNIT_EDGES
    edges = np.union1d(units, coincidences[np.abs(coincidences) < units[-1]])
    value, slope = integrate(density_integrand, edges)
    return float(value), float(slope)


def _inner_means(
    phi: ActivationFunction, q1: float, q2: float, std: float, d: np.ndarray
) -> np.ndarray:
    """Return the means over x of φ(x + d) φ(x - d) and of the slopes, `(len(d), 2)`.

    Args:
      phi: a JAX function of one number.
      q1: variance of u.
      q2: variance of v.
      std: standard deviation of x.
      d: half differences, `(n, 1)`.
    """
    units = std * _UNIT_EDGES
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
    return np.einsum("dn,dnv,dnv->dv", weights * _normal_density(x, std), left, right)


def _collinear_means(
    phi: ActivationFunction, q1: float, q2: float, c: float
) -> tuple[float, float]:
    """Return `pair_means` for a correlation of 1 or -1."""
    first, second = standardized_activation(phi, q1), standardized_activation(phi, q2)
    z, weights = _normal_nodes(np.append(first.edges, np.sign(c) * second.edges))
    value, slope = weights @ (first.function(z) * second.function(np.sign(c) * z))
    return float(value), float(slope)


@lru_cache(maxsize=128)
def standardized_activation(phi: ActivationFunction, q: float) -> StandardizedActivation:
    """Return the activation of inputs of variance `q`; the exact partition may be too fine."""
    value_and_slope, std = _value_and_slope(phi), math.sqrt(q)

    def function(z: np.ndarray) -> np.ndarray:
        return value_and_slope(std * z)

    return StandardizedActivation(
        function, find_fine_edges(function, _INITIAL_EDGES, _error_weight)
    )


@lru_cache(maxsize=128)
def activation_pieces(phi: ActivationFunction, q: float) -> ActivationPieces:
    """Return the activation with its coarsest exact partition, for repeated evaluation."""
    function = standardized_activation(phi, q).function
    return ActivationPieces(function, *find_pieces(function, _INITIAL_EDGES, _error_weight))


def _error_weight(z: np.ndarray) -> np.ndarray:
    """Return the root of the normal density, up to a factor: errors in φ count as in E[φ²]."""
    return np.exp(-(z**2) / 4)


@lru_cache(maxsize=64)
def _value_and_slope(phi: ActivationFunction) -> VectorFunction:
    """Return a function that maps n numbers to φ and φ' in float64, whatever JAX's settings."""
    rows = jax.jit(jax.vmap(lambda u: jnp.stack(jax.value_and_grad(phi)(u))))

    def value_and_slope(u: np.ndarray) -> np.ndarray:
        padded = np.zeros(-(-len(u) // _POINTS_PER_CALL) * _POINTS_PER_CALL)
        padded[: len(u)] = u
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            results = [np.asarray(rows(part)) for part in padded.reshape(-1, _POINTS_PER_CALL)]
        return np.concatenate(results)[: len(u)] if results else np.zeros((0, 2))

    return value_and_slope


def _normal_nodes(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes z and their probabilities, for functions that are smooth between the edges."""
    z, weights = legendre_nodes(np.union1d(edges, _UNIT_EDGES))
    return z, weights * _normal_density(z, 1.0)


def _normal_density(x: np.ndarray | float, std: float) -> Any:
    return np.exp(-((x / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
