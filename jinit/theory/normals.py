"""Means over one and two normal variables of what an activation makes of them, in float64."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jinit.theory.pieces import Function, Pieces, fine_edges, integral, nodes, pieces

# Beyond thirteen standard deviations the normal density is below 2e-37 of its maximum.
_EDGE = 13.0
_UNITS = np.linspace(-_EDGE, _EDGE, 27)
# Finer and finer towards zero, where activations bend: an input may be a million times as large.
_TOWARDS_ZERO = 2.0 ** -np.arange(41)
_START = np.unique(np.concatenate([_UNITS, -_TOWARDS_ZERO, _TOWARDS_ZERO]))
# Points that one compiled call evaluates, and outer points of a double integral at once.
_CHUNK = 2**13
_OUTER = 2**8
# What E[φ²] may owe to inputs beyond the edge.
_TAIL = 1e-10


class Seen(NamedTuple):
    """An activation of normal inputs of some variance, as a function of a standard normal z."""

    function: Function
    """z to φ and φ', in rows."""
    edges: np.ndarray
    """Of intervals on each of which both are polynomials, as exactly as float64 can tell."""


class Means(NamedTuple):
    """Over h, normal with mean 0 and variance q."""

    mean: float
    """E[φ]."""
    second: float
    """E[φ²]."""
    variance: float
    """E[(φ - E[φ])²]."""
    slope2: float
    """E[φ'²]."""
    growth: float
    """∂E[φ²] / ∂q."""


@lru_cache(maxsize=512)
def means(phi: Callable[..., Any], q: float) -> Means:
    """Of an activation of one number.

    Raises:
      ValueError: it is not finite, grows too fast, or bends nearly everywhere.
    """
    function, edges = seen(phi, q)
    z, weights = _normal_nodes(edges)
    value, slope = function(z).T
    mean = float(weights @ value)
    found = Means(
        mean,
        float(weights @ value**2),
        float(weights @ (value - mean) ** 2),
        float(weights @ slope**2),
        float(weights @ (value**2 * (z**2 - 1))) / (2 * q),
    )
    beyond = (function(_UNITS[[0, -1]])[:, 0] ** 2).max() * _density(_EDGE, 1.0) * _EDGE
    if beyond > _TAIL * found.second:
        raise ValueError("it grows too fast to have a mean over a normal variable")
    return found


def at_nodes(
    phi: Callable[..., Any], edges: np.ndarray, scale: float, shift: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points z, their probabilities, and φ and φ' at `scale · z + shift`, cut at the edges."""
    z, weights = _normal_nodes(edges[np.abs(edges) < _EDGE])
    return z, weights, _evaluated(phi)(scale * z + shift).T


def at_normal(phi: Callable[..., Any], q: float) -> tuple[np.ndarray, ...]:
    """Points z of a standard normal, their probabilities, and φ and φ' at √q z."""
    function, edges = seen(phi, q)
    z, probabilities = _normal_nodes(edges)
    return z, probabilities / probabilities.sum(), *function(z).T


@lru_cache(maxsize=512)
def pair_means(phi: Callable[..., Any], q1: float, q2: float, c: float) -> tuple[float, float]:
    """E[φ(u)φ(v)] and E[φ'(u)φ'(v)], u and v normal with variances q1, q2 and correlation c.

    With u = √q1 (x + d) and v = √q2 (x - d), x and d are independent. Over x both factors are
    polynomials between edges that d moves; over d the mean bends only where kinks meet.
    """
    if abs(c) == 1:
        return _same_line(phi, q1, q2, c)
    kinks = cut(phi, q1).kinks, cut(phi, q2).kinks
    x_std, d_std = math.sqrt((1 + c) / 2), math.sqrt((1 - c) / 2)

    def weighted(d: np.ndarray) -> np.ndarray:
        parts = np.array_split(d[:, None], max(1, len(d) // _OUTER))
        over_x = [_over_sum(phi, q1, q2, x_std, part) for part in parts]
        return np.concatenate(over_x) * _density(d, d_std)[:, None]

    meet = np.subtract.outer(*kinks).ravel() / 2
    units = d_std * _UNITS
    value, slope = integral(weighted, np.union1d(units, meet[np.abs(meet) < units[-1]]))
    return float(value), float(slope)


def _over_sum(
    phi: Callable[..., Any], q1: float, q2: float, std: float, d: np.ndarray
) -> np.ndarray:
    """E over x of φ(x + d) φ(x - d), and of the slopes, for each d of a column."""
    units = std * _UNITS
    own = cut(phi, q1).edges - d, cut(phi, q2).edges + d
    edges = [*own, np.broadcast_to(units, (len(d), 27))]
    inside = np.sort(np.clip(np.concatenate(edges, axis=1), units[0], units[-1]), axis=1)
    x, weights = nodes(inside)
    shape = (*x.shape, 2)
    left = seen(phi, q1).function((x + d).ravel()).reshape(shape)
    right = seen(phi, q2).function((x - d).ravel()).reshape(shape)
    return np.einsum("dn,dnv,dnv->dv", weights * _density(x, std), left, right)


def _same_line(phi: Callable[..., Any], q1: float, q2: float, c: float) -> tuple[float, float]:
    """Of a correlation of one or minus one."""
    first, second = seen(phi, q1), seen(phi, q2)
    z, weights = _normal_nodes(np.append(first.edges, np.sign(c) * second.edges))
    value, slope = weights @ (first.function(z) * second.function(np.sign(c) * z))
    return float(value), float(slope)


@lru_cache(maxsize=128)
def seen(phi: Callable[..., Any], q: float) -> Seen:
    """The activation under inputs of variance q."""
    evaluated, std = _evaluated(phi), math.sqrt(q)

    def function(z: np.ndarray) -> np.ndarray:
        return evaluated(std * z)

    return Seen(function, fine_edges(function, _START, _weight))


@lru_cache(maxsize=128)
def cut(phi: Callable[..., Any], q: float) -> Pieces:
    """The same in as few intervals as will do, for where they are met again and again."""
    return pieces(seen(phi, q).function, _START, _weight)


def _weight(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 4)


@lru_cache(maxsize=64)
def _evaluated(phi: Callable[..., Any]) -> Function:
    """φ and φ' of many numbers in float64, whatever JAX's settings are."""
    rows = jax.jit(jax.vmap(lambda u: jnp.stack(jax.value_and_grad(phi)(u))))

    def evaluated(u: np.ndarray) -> np.ndarray:
        padded = np.zeros(-(-len(u) // _CHUNK) * _CHUNK)
        padded[: len(u)] = u
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            found = [np.asarray(rows(part)) for part in padded.reshape(-1, _CHUNK)]
        return np.concatenate(found)[: len(u)] if found else np.zeros((0, 2))

    return evaluated


def _normal_nodes(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points z and their probabilities, for functions cut at the edges."""
    z, weights = nodes(np.union1d(edges, _UNITS))
    return z, weights * _density(z, 1.0)


def _density(x: np.ndarray | float, std: float) -> Any:
    return np.exp(-((x / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
