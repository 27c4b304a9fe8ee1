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
    legendre_nodes,
)
from jinit.theory.singularities import Singularity, find_singularities

ActivationFunction = Callable[..., Any]
"""A JAX function of one number, or of two for a gated unit, that returns one number."""

# Beyond thirteen standard deviations the normal density is below 2e-37 of its maximum; the square
# of a fast-growing activation may still matter there, but nothing is left to multiply beyond 37.
_RADII = (13, 37)
# Finer towards zero: the larger the variance of the inputs, the closer are kinks to zero in z.
_FINE_EDGES = 2.0 ** -np.arange(41)
# Points that one compiled call evaluates.
_POINTS_PER_CALL = 2**13
# The largest accepted truncation error, relative to E[φ²].
_TAIL_TOLERANCE = 1e-10


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
    jumps: np.ndarray
    """Edges at which φ jumps."""


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
    """E[φ'²] of JAX's derivative, which leaves out jumps; infinite if its square has no mean."""
    q_derivative: float
    """∂E[φ²] / ∂q."""
    q: float
    """Variance of the inputs."""


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
    singularities = find_singularities(function, edges)
    _check_poles(singularities, q)
    z, weights = normal_nodes(edges)
    value, slope = function(z).T
    mean, second = float(weights @ value), _second(function, edges)
    variance = float(weights @ (value - mean) ** 2)
    q_derivative = float(weights @ (value**2 * (z**2 - 1))) / (2 * q)
    for singularity in singularities:
        missing = normal_density(singularity.place, 1.0) * singularity.missing
        second, variance = second + missing, variance + missing
        q_derivative += missing * (singularity.place**2 - 1) / (2 * q)
    has_slope2 = all(singularity.slope_exponent < 1 for singularity in singularities)
    return ActivationMeans(
        mean=mean,
        second=second,
        variance=variance,
        slope2=float(weights @ slope**2) if has_slope2 else math.inf,
        q_derivative=q_derivative,
        q=q,
    )


def _check_poles(singularities: tuple[Singularity, ...], q: float) -> None:
    """Raise if φ² has no mean."""
    for singularity in singularities:
        if singularity.exponent >= 1:
            place = round(math.sqrt(q) * singularity.place, 6) + 0.0
            raise ValueError(f"it has a pole near {place:g}, where its square has no mean")


def find_jump(phi: ActivationFunction, q: float) -> float | None:
    """Return a place where φ jumps, for inputs of variance q; None if it is continuous.

    Args:
      phi: a JAX function of one number.
      q: variance of the pre-activations.

    Raises:
      ValueError: if φ is not finite, or rough nearly everywhere.
    """
    jumps = activation_pieces(phi, q).jumps
    return math.sqrt(q) * float(min(jumps, key=abs)) + 0.0 if len(jumps) else None


def shifted_quadrature(
    phi: ActivationFunction, edges: np.ndarray, scale: float, shift: float
) -> ActivationNodes:
    """Return nodes of z between the edges, with φ and φ' at `scale · z + shift`."""
    z, weights = normal_nodes(np.union1d(edges[np.abs(edges) < _RADII[0]], unit_edges()))
    return ActivationNodes(z, weights, *_value_and_slope(phi)(scale * z + shift).T)


def normal_quadrature(phi: ActivationFunction, q: float) -> ActivationNodes:
    """Return nodes of z whose weights sum to 1, with φ and φ' at √q z."""
    function, edges = standardized_activation(phi, q)
    z, weights = normal_nodes(edges)
    return ActivationNodes(z, weights / weights.sum(), *function(z).T)


@lru_cache(maxsize=128)
def standardized_activation(phi: ActivationFunction, q: float) -> StandardizedActivation:
    """Return the activation of inputs of variance `q`; the exact partition may be too fine."""
    value_and_slope, std = _value_and_slope(phi), math.sqrt(q)

    def function(z: np.ndarray) -> np.ndarray:
        return value_and_slope(std * z)

    for radius in _RADII:
        try:
            edges = find_fine_edges(function, _initial_edges(radius), _error_weight)
        except ValueError:
            if radius == _RADII[0]:
                raise
            break
        if _has_small_tail(function, edges):
            return StandardizedActivation(function, edges)
    raise ValueError(
        "it grows too fast to have a mean over a normal variable: its square times the normal "
        f"density has not decayed at {_RADII[-1]} standard deviations"
    )


def _second(function: VectorFunction, edges: np.ndarray) -> float:
    z, weights = normal_nodes(edges)
    return float(((np.sqrt(weights) * function(z)[:, 0]) ** 2).sum())


def _has_small_tail(function: VectorFunction, edges: np.ndarray) -> bool:
    """Return whether nothing is missing in E[φ²] beyond the edges."""
    ends = edges[[0, -1]]
    at_ends = function(ends)[:, 0] * np.sqrt(normal_density(ends, 1.0))
    return (at_ends**2).max() * edges[-1] <= _TAIL_TOLERANCE * _second(function, edges)


@lru_cache(maxsize=128)
def activation_pieces(phi: ActivationFunction, q: float) -> ActivationPieces:
    """Return the activation with its coarsest exact partition, for repeated evaluation."""
    function, edges = standardized_activation(phi, q)
    initial_edges = _initial_edges(round(edges[-1]))
    return ActivationPieces(function, *find_pieces(function, initial_edges, _error_weight))


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


def unit_edges(radius: int = _RADII[0]) -> np.ndarray:
    """Return edges, a standard deviation apart, of the range of a standard normal variable."""
    return np.linspace(-radius, radius, 2 * radius + 1)


def _initial_edges(radius: int) -> np.ndarray:
    return np.unique(np.concatenate([unit_edges(radius), -_FINE_EDGES, _FINE_EDGES]))


def normal_nodes(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes z and their probabilities, for functions that are smooth between the edges."""
    z, weights = legendre_nodes(edges)
    return z, weights * normal_density(z, 1.0)


def normal_density(x: np.ndarray | float, std: float) -> Any:
    """Return the density at `x` of a normal variable with mean 0 and this standard deviation."""
    return np.exp(-((x / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
