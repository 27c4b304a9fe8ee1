"""Singular values of the input–output Jacobian of a deep random network."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jinit.theory.checks import check_depth, check_variance
from jinit.theory.meanfield import check_without_jumps
from jinit.theory.moments import apply_to_activation
from jinit.theory.normal_means import (
    ActivationFunction,
    normal_quadrature,
    standardized_activation,
)
from jinit.theory.singularities import find_singularities

_ENSEMBLES = ("gaussian", "orthogonal")
# Distances, in standard deviations, between which an unbounded slope grows by this factor at least.
_FAR, _FARTHER, _GROWTH = 2.0**10, 2.0**20, 1.01
# Exponent of a pole of φ'² above which φ' is unbounded; at 1/2, φ'⁴ has no mean.
_POLE = 0.01


class JacobianSpectrum(NamedTuple):
    """Distribution of λ, the squared singular values of the Jacobian, at infinite width."""

    mean: float
    """Mean of λ; 1 at criticality."""
    variance: float
    """Variance of λ; infinite where φ'⁴ has no mean."""
    maximum: float
    """Upper edge of the distribution; infinite where the slope of φ is not bounded."""


def jacobian_spectrum(
    phi: ActivationFunction, depth: int, ensemble: str = "gaussian", q: float = 1.0
) -> JacobianSpectrum:
    r"""Return the spectrum of J Jᵀ of `depth` layers x ↦ φ(W x), at criticality σ_w² E[φ'²] = 1.

    With μ_k = E[φ'^(2k)], the variance is `L μ₂/μ₁²` for Gaussian and `L (μ₂/μ₁² - 1)` for
    orthogonal weights. The maximum is the minimum over u > 0 of `(1 + u)/u / S(u)^L`, where S is
    the S-transform of one layer.

    Args:
      phi: a JAX function of one number.
      depth: number of layers L, at least 1.
      ensemble: distribution of the weights, `gaussian` or `orthogonal`.
      q: variance of the pre-activations, above 0.

    Raises:
      ValueError: if the ensemble is unknown, the depth is below 1, `q` is not above 0, or `phi` is
        flat, jumps, or has a squared slope without a mean.
      TypeError: if `phi` does not map one number to one number.

    Reference: Pennington, Schoenholz & Ganguli, "Resurrecting the sigmoid in deep learning through
    dynamical isometry", 2017, sections 2.3 to 2.5.

    >>> import jax
    >>> found = jacobian_spectrum(jax.nn.relu, 10)
    >>> round(found.variance, 9), round(found.maximum, 5)
    (20.0, 54.41086)
    """
    if ensemble not in _ENSEMBLES:
        raise ValueError(f"ensemble: expected one of {_ENSEMBLES}, got {ensemble!r}")
    check_depth(depth)
    nodes = apply_to_activation(normal_quadrature, phi, check_variance("q", q))
    squares = nodes.slope**2
    first, second = float(nodes.weights @ squares), float(nodes.weights @ squares**2)
    if first == 0:
        raise ValueError(
            "jacobian_spectrum: this activation is flat, so that its Jacobian is zero: pass one "
            "whose slope is not zero everywhere"
        )
    check_without_jumps("jacobian_spectrum", phi, q)
    squares = squares / first
    gaussian = ensemble == "gaussian"
    pole, is_unbounded = apply_to_activation(_slope_bounds, phi, q)
    variance = depth * (second / first**2 - (0 if gaussian else 1))
    return JacobianSpectrum(
        mean=1.0,
        variance=math.inf if pole >= 0.5 else variance,
        maximum=math.inf if is_unbounded else _upper_edge(squares, nodes.weights, depth, gaussian),
    )


def _slope_bounds(phi: ActivationFunction, q: float) -> tuple[float, bool]:
    """Return the exponent with which φ'² grows at a pole, and whether φ' is unbounded."""
    function, edges = standardized_activation(phi, q)
    pole = max((found.slope_exponent for found in find_singularities(function, edges)), default=0)
    distances = np.array([-_FAR, _FAR, -_FARTHER, _FARTHER])
    far, farther = np.abs(function(distances)[:, 1]).reshape(2, 2)
    grows = ~np.isfinite(farther) | (farther > _GROWTH * far)
    return pole, pole > _POLE or bool(grows.any())


def _upper_edge(squares: np.ndarray, weights: np.ndarray, depth: int, gaussian: bool) -> float:
    """Return the minimum of (1 + u)/u / S(u)^L over u > 0.

    It is taken over s = ψ⁻¹(u), where ψ(s) = E[s D²/(1 - s D²)] and D² are the squared slopes. S is
    the product of (1 + u)/u · s for the slopes and of 1/(1 + u) for Gaussian weights.
    """
    if np.ptp(squares) == 0 and not gaussian:
        return 1.0
    largest = 1 / squares.max()

    def log_edge(logit: float) -> float:
        s = largest / (1 + math.exp(-logit))
        u = float(weights @ (s * squares / (1 - s * squares)))
        log_ratio = math.log1p(u) - math.log(u)
        minus_log_s_transform = -math.log(s) - log_ratio + (math.log1p(u) if gaussian else 0.0)
        return log_ratio + depth * minus_log_s_transform

    return math.exp(_minimum(log_edge))


def _minimum(function: Callable[[float], float]) -> float:
    """Return the minimum of a function that is unimodal or monotonic on [-30, 30]."""
    from scipy import optimize  # heavy: it would double the time of `import jinit`

    points = np.linspace(-30, 30, 121)
    values = [function(point) for point in points]
    best = int(np.argmin(values))
    low, high = points[max(best - 1, 0)], points[min(best + 1, len(points) - 1)]
    refined = optimize.minimize_scalar(function, bounds=(low, high), options={"xatol": 1e-9})
    return min(float(refined.fun), values[best])
