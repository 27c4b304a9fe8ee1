"""Singular values of the input–output Jacobian of a deep random network."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize

from jinit.theory.moments import Activation, named_mean
from jinit.theory.normals import at_normal

_ENSEMBLES = ("gaussian", "orthogonal")


class Spectrum(NamedTuple):
    """Law of λ, the squared singular values of the Jacobian, in the limit of infinite width."""

    mean: float
    """Mean of λ; 1 at criticality."""
    variance: float
    """Variance of λ."""
    maximum: float
    """The upper edge of the law."""


def jacobian_spectrum(
    phi: Activation, depth: int, ensemble: str = "gaussian", q: float = 1.0
) -> Spectrum:
    r"""Spectrum of J Jᵀ of `depth` layers x ↦ φ(W x), at criticality σ_w² E[φ'²] = 1.

    With μ_k = E[φ'^(2k)], the variance is `L μ₂/μ₁²` for Gaussian and `L (μ₂/μ₁² - 1)` for
    orthogonal weights. The maximum is the least of `(1 + u)/u / S(u)^L` over u > 0, S being the
    S-transform of one layer.

    Args:
      phi: a JAX function of one number. depth: layers L, at least 1.
      ensemble: of the weights, `gaussian` or `orthogonal`.
      q: variance of the pre-activations.

    Raises:
      ValueError: an unknown ensemble, a depth below 1, a flat `phi`.

    Reference: Pennington, Schoenholz & Ganguli, "Resurrecting the sigmoid in deep learning through
    dynamical isometry", 2017, sections 2.3 to 2.5.

    >>> import jax
    >>> found = jacobian_spectrum(jax.nn.relu, 10)
    >>> round(found.variance, 9), round(found.maximum, 5)
    (20.0, 54.41086)
    """
    if ensemble not in _ENSEMBLES:
        raise ValueError(f"ensemble: expected one of {_ENSEMBLES}, got {ensemble!r}")
    if depth < 1:
        raise ValueError(f"depth: expected at least 1 layer, got {depth!r}")
    _, weights, _, slopes = named_mean(at_normal, phi, float(q))
    squares = slopes**2
    first, second = float(weights @ squares), float(weights @ squares**2)
    if first == 0:
        raise ValueError("jacobian_spectrum: this activation is flat, its Jacobian is zero")
    squares = squares / first
    gaussian = ensemble == "gaussian"
    variance = depth * (second / first**2 - (0 if gaussian else 1))
    return Spectrum(1.0, variance, _edge(squares, weights, depth, gaussian))


def _edge(squares: np.ndarray, weights: np.ndarray, depth: int, gaussian: bool) -> float:
    """Least of (1 + u)/u / S(u)^L; as a function of s = ψ⁻¹(u), ψ(s) = E[s D²/(1 - s D²)].

    S(u) = (1 + u)/u · s for the slopes, and 1/(1 + u) for Gaussian weights.
    """
    largest = 1 / squares.max()

    def log_edge(logit: float) -> float:
        s = largest / (1 + math.exp(-logit))
        u = float(weights @ (s * squares / (1 - s * squares)))
        one = math.log1p(u) - math.log(u)
        own = -math.log(s) - one + (math.log1p(u) if gaussian else 0.0)
        return one + depth * own

    if np.ptp(squares) == 0 and not gaussian:
        return 1.0
    best = _least(log_edge)
    return math.exp(best)


def _least(function: Callable[[float], float]) -> float:
    """Of a function with one valley, or that falls towards an end, on a logarithmic scale."""
    places = np.linspace(-30, 30, 121)
    values = [function(place) for place in places]
    at = int(np.argmin(values))
    low, high = places[max(at - 1, 0)], places[min(at + 1, len(places) - 1)]
    found = optimize.minimize_scalar(function, bounds=(low, high), options={"xatol": 1e-9})
    return min(float(found.fun), values[at])
