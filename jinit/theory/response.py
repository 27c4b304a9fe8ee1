"""The mean effect of a layer on a signal and its gradient, and its fluctuation at finite width."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jinit.theory.checks import check_correlation, check_variance
from jinit.theory.moments import apply_to_activation
from jinit.theory.normal_means import ActivationFunction, activation_means, normal_quadrature

_KNOTS_PER_LOG_Q = 4
"""Points per unit of ln q at which activations are integrated; between them, values are linear."""
_MAX_LOG_Q = 27.0
"""Largest |ln q| of a knot; beyond it, all values but E[φ²] are those of the last knot."""
_MAX_EXPONENT = 709.0
"""Largest number of which float64 has an exponential."""
_HERMITE_DEGREES = 48
"""Number of Hermite coefficients; the remainder is attributed to twice that degree."""


class LayerResponse(NamedTuple):
    """Response of an activation φ to pre-activations of variance q, in layers of n units."""

    second: float
    """E[φ²]."""
    slope2: float
    """E[φ'²]."""
    log_slope: float
    """∂ ln E[φ²] / ∂ ln q: how an error in ln q propagates."""
    signal_fluctuation: float
    """n times the relative variance of the mean of φ² over a layer: 5 for relu."""
    gradient_fluctuation: float
    """n times the relative variance of the factor on a squared gradient: 5 for relu."""


class ActivationCorrelation(NamedTuple):
    """Correlation map of an activation."""

    value: float
    """E[φ(u)φ(v)] / E[φ²]."""
    slope: float
    """Its derivative by the correlation of u and v."""


class _Knot(NamedTuple):
    """The values that are interpolated linearly in ln q."""

    log_ratio: float
    """ln(E[φ²] / q)."""
    slope2: float
    log_slope: float
    signal_fluctuation: float
    gradient_fluctuation: float


def layer_response(phi: ActivationFunction, q: float) -> LayerResponse:
    r"""Return the response of a layer to a signal of variance `q`, interpolated in ln q.

    `signal_fluctuation` is `E[φ⁴]/E[φ²]² - 1`, and `gradient_fluctuation` is
    `3 E[φ'⁴]/E[φ'²]² - 1`, since a gradient comes through random weights. For He-scaled relu both
    give the distribution of `finite_width`.

    Args:
      phi: a JAX function of one number.
      q: variance of the pre-activations, above 0.

    Raises:
      ValueError: if `q` is not above 0, or `phi` has no such means.
      TypeError: if `phi` does not map one number to one number.

    Reference: Hanin & Nica, "Products of many large random matrices and gradients in deep neural
    networks", 2018, theorem 1 (relu).

    >>> import jax
    >>> [round(number, 4) for number in layer_response(jax.nn.relu, 3.0)]
    [1.5, 0.5, 1.0, 5.0, 5.0]
    """
    position = _knot_position(_check_q(q))
    first = math.floor(position)
    fraction = position - first
    low, high = _knot_values(phi, first), _knot_values(phi, first + 1)
    knot = _Knot(*((1 - fraction) * a + fraction * b for a, b in zip(low, high, strict=True)))
    log_q = position / _KNOTS_PER_LOG_Q  # beyond the last knot, E[φ²] follows a power of q
    log_second = knot.log_ratio + log_q + knot.log_slope * (math.log(q) - log_q)
    return LayerResponse(
        second=math.exp(log_second) if log_second < _MAX_EXPONENT else math.inf,
        slope2=knot.slope2,
        log_slope=knot.log_slope,
        signal_fluctuation=knot.signal_fluctuation,
        gradient_fluctuation=knot.gradient_fluctuation,
    )


def _check_q(q: float) -> float:
    return q if q == math.inf else check_variance("q", q)


def _knot_position(q: float) -> float:
    """Return the fractional knot index of a variance."""
    return min(max(math.log(q), -_MAX_LOG_Q), _MAX_LOG_Q) * _KNOTS_PER_LOG_Q


@lru_cache(maxsize=4096)
@np.errstate(over="ignore", invalid="ignore")
def _knot_values(phi: ActivationFunction, number: int) -> _Knot:
    q = math.exp(number / _KNOTS_PER_LOG_Q)
    means = apply_to_activation(activation_means, phi, q)
    if not means.second:
        raise ValueError(_zero_error(phi, q))
    nodes = apply_to_activation(normal_quadrature, phi, q)
    slope4 = float(nodes.weights @ nodes.slope**4)  # where E[φ'⁴] is infinite, any number
    return _Knot(
        log_ratio=math.log(means.second / q),
        slope2=means.slope2,
        log_slope=means.q_derivative * q / means.second,
        signal_fluctuation=max(float(nodes.weights @ nodes.value**4) / means.second**2 - 1, 0.0),
        gradient_fluctuation=max(3 * slope4 / means.slope2**2 - 1, 2.0) if means.slope2 else 0.0,
    )


def _zero_error(phi: ActivationFunction, q: float) -> str:
    name = getattr(phi, "__name__", repr(phi))
    return f"the activation {name} is zero for normal inputs of variance {q:.3g}"


def activation_correlation(phi: ActivationFunction, c: float, q: float) -> ActivationCorrelation:
    r"""Return `E[φ(u)φ(v)] / E[φ²]` for u and v of correlation `c`, and its slope in c.

    `Σ a_k² cᵏ / Σ a_k²` with `φ(√q z) = Σ a_k h_k(z)`, where h_k are the normalized Hermite
    polynomials. It is within 1e-3 for usual activations and fast, where `dual` is exact and slow.
    Degrees above 47 are represented by one even and one odd degree twice as high. `q` is rounded
    to the nearest knot.

    Args:
      phi: a JAX function of one number.
      c: correlation of u and v, from -1 to 1.
      q: variance of u and of v, above 0.

    Raises:
      ValueError: if `q` is not above 0, `c` is outside [-1, 1], or `phi` has no such means.
      TypeError: if `phi` does not map one number to one number.

    Reference: Daniely, Frostig & Singer, "Toward deeper understanding of neural networks", 2016,
    section 4.2.

    >>> import jax
    >>> value, slope = activation_correlation(jax.nn.relu, 0.0, 1.0)
    >>> round(value, 4), round(slope, 4)
    (0.3183, 0.5)
    """
    from numpy.polynomial import Polynomial

    check_correlation(c)
    series = Polynomial(_hermite_shares(phi, round(_knot_position(_check_q(q)))))
    return ActivationCorrelation(float(series(c)), float(series.deriv()(c)))


@lru_cache(maxsize=4096)
def _hermite_shares(phi: ActivationFunction, number: int) -> np.ndarray:
    """Return the fraction of E[φ²] that each Hermite degree carries."""
    q = math.exp(number / _KNOTS_PER_LOG_Q)
    nodes = apply_to_activation(normal_quadrature, phi, q)
    second = nodes.weights @ nodes.value**2
    if not second:
        raise ValueError(_zero_error(phi, q))
    previous, current = np.zeros_like(nodes.z), np.ones_like(nodes.z)
    shares = np.zeros(2 * _HERMITE_DEGREES)
    for degree in range(_HERMITE_DEGREES):
        shares[degree] = (nodes.weights @ (nodes.value * current)) ** 2
        following = (nodes.z * current - math.sqrt(degree) * previous) / math.sqrt(degree + 1)
        previous, current = current, following
    shares /= second
    last = shares[[_HERMITE_DEGREES - 2, _HERMITE_DEGREES - 1]]
    parity_shares = last / last.sum() if last.sum() > 0 else np.full(2, 0.5)
    shares[-2:] = max(1 - shares.sum(), 0.0) * parity_shares
    return shares
