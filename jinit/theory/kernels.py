"""Kernels of wide networks: dual activations and the neural tangent kernel."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jinit.theory.checks import (
    check_bias_variance,
    check_correlation,
    check_depth,
    check_variance,
)
from jinit.theory.meanfield import infinite_slope_cause
from jinit.theory.moments import apply_to_activation
from jinit.theory.normal_means import (
    ActivationFunction,
    activation_pieces,
    normal_quadrature,
)
from jinit.theory.pair_means import pair_means

# Relative rounding error of a product of two variances and of a squared covariance.
_ROUNDING = Fraction(2) ** -50
# Rounding error of a mean of φ(u)φ(-u), relative to that of φ².
_COLLINEAR_ROUNDING = 1e-13
# From this depth on, the dual is interpolated between angles by a polynomial of this degree.
_CURVE_DEPTH, _CURVE_DEGREE = 100, 64


class Dual(NamedTuple):
    """E[φ(u)φ(v)] and its derivative by the covariance; u and v are jointly normal."""

    value: float
    """Σ = E[φ(u)φ(v)]."""
    slope: float
    """Σ̇ = E[φ'(u)φ'(v)]."""


class TangentKernel(NamedTuple):
    """Neural tangent kernel of two inputs of equal norm, at the output of a wide network."""

    diagonal: float
    """Θ(x, x)."""
    off_diagonal: float
    """Θ(x, y)."""
    ratio: float
    """Θ(x, y) / Θ(x, x)."""


def dual(phi: ActivationFunction, k11: float, k12: float, k22: float) -> Dual:
    r"""Return the dual activation `Σ = E[φ(u)φ(v)]` and its slope `Σ̇ = E[φ'(u)φ'(v)]`.

    u and v are normal with mean 0, variances `k11`, `k22` and covariance `k12`. The result has a
    closed form for jax.nn.relu, erf, and jax.numpy's abs, sin and sign; it is integrated to 1e-12
    for any other activation. Where `phi` jumps, the slope is the derivative of the value by the
    covariance, to which jumps contribute; it is infinite for a correlation of 1.

    Args:
      phi: a JAX function of one number.
      k11: variance of u, above 0.
      k12: covariance of u and v.
      k22: variance of v, above 0.

    Raises:
      ValueError: if k12² > k11 k22, a variance is not above 0, or `phi` has no such mean.
      TypeError: if `phi` does not map one number to one number.

    Reference: Daniely, Frostig & Singer, "Toward deeper understanding of neural networks", 2016,
    section 4.2; Cho & Saul, "Kernel methods for deep learning", 2009; Williams, "Computing with
    infinite networks", 1997.

    >>> import jax, math
    >>> found = dual(jax.nn.relu, 1.0, 0.0, 1.0)
    >>> round(found.value * 2 * math.pi, 12), found.slope
    (1.0, 0.25)
    """
    k11, k12, k22 = map(float, (k11, k12, k22))
    if not (0 < k11 < math.inf and 0 < k22 < math.inf):
        raise ValueError(f"dual: expected finite variances above 0, got k11={k11!r}, k22={k22!r}")
    largest = _geometric_mean(k11, k22)
    if not abs(k12) <= (1 + 1e-12) * largest:
        raise ValueError(
            f"dual: k12={k12!r} is not a covariance of variances {k11!r} and {k22!r}: its absolute "
            f"value is at most {largest:.6g}"
        )
    angle = _angle(k11, k12, k22)
    closed_form = _CLOSED_FORMS.get(phi)
    if closed_form:
        return closed_form(k11, k22, angle)
    means = apply_to_activation(pair_means, phi, k11, k22, angle)
    return Dual(means.product, means.slope)


def _geometric_mean(k11: float, k22: float) -> float:
    return k11 if k11 == k22 else math.sqrt(k11) * math.sqrt(k22)


def _angle(k11: float, k12: float, k22: float) -> float:
    """Return the arc cosine of a correlation, exactly 0 or π where it is 1 or -1 up to rounding."""
    determinant = Fraction(k11) * Fraction(k22) - Fraction(k12) ** 2
    is_rounding = k11 != k22 and abs(determinant) < _ROUNDING * Fraction(k11) * Fraction(k22)
    if determinant <= 0 or is_rounding:
        return 0.0 if k12 > 0 else math.pi
    return math.atan2(math.sqrt(determinant), k12)


def ntk(
    phi: ActivationFunction,
    depth: int,
    c: float,
    q: float = 1.0,
    *,
    sigma_w2: float | None = None,
    sigma_b2: float = 0.0,
) -> TangentKernel:
    r"""Return the neural tangent kernel of two inputs after `depth` hidden layers.

    `K' = σ_w² Σ(K) + σ_b²` and `Θ' = K' + σ_w² Σ̇(K) Θ`, beginning with Θ = K.

    Args:
      phi: a JAX function of one number.
      depth: number of hidden layers, at least 0.
      c: correlation of the inputs, from -1 to 1.
      q: variance of the inputs, above 0.
      sigma_w2: fan-in times the variance of the weights; None for q / E[φ²], which keeps `q`.
      sigma_b2: variance of the biases, at least 0.

    Raises:
      ValueError: if an argument is out of range, the signal vanishes or explodes within `depth`
        layers, or `phi` jumps or has no mean.
      TypeError: if `phi` does not map one number to one number.

    Reference: Jacot, Gabriel & Hongler, "Neural tangent kernel", 2018, theorem 1.

    >>> import jax
    >>> round(ntk(jax.nn.relu, 1000, 0.0).ratio, 2)
    0.25
    """
    check_depth(depth, 0)
    q, c = check_variance("q", q), check_correlation(c)
    check_bias_variance(sigma_b2)
    keeps_variance = sigma_w2 is None and not sigma_b2
    if sigma_w2 is None:
        sigma_w2 = q / dual(phi, q, q, q).value
    check_variance("sigma_w2", sigma_w2)
    if depth:
        _check_continuous("ntk", phi, q)
    curve = _dual_curve(phi, q) if keeps_variance and depth > _CURVE_DEPTH else None
    variance, covariance = q, c * q
    diagonal, off_diagonal = variance, covariance
    for layer in range(depth):
        if not 1e-300 < variance < 1e150:
            raise ValueError(
                f"ntk: after {layer} layers the signal has variance {variance:.3g}: choose a "
                "sigma_w2 at which it neither vanishes nor explodes; None keeps the variance"
            )
        dual_diagonal = dual(phi, variance, variance, variance)
        if abs(covariance) == variance:
            dual_pair = _collinear_dual(phi, variance, covariance, dual_diagonal)
        elif curve is None:
            dual_pair = dual(phi, variance, covariance, variance)
        else:
            dual_pair = curve(_angle(variance, covariance, variance))
        if not keeps_variance:
            variance = sigma_w2 * dual_diagonal.value + sigma_b2
        covariance = sigma_w2 * dual_pair.value + sigma_b2
        covariance = min(max(covariance, -variance), variance)
        if dual_pair.value == dual_diagonal.value:
            covariance = variance
        elif dual_pair.value == -dual_diagonal.value and not sigma_b2:
            covariance = -variance
        diagonal = variance + sigma_w2 * dual_diagonal.slope * diagonal
        off_diagonal = covariance + sigma_w2 * dual_pair.slope * off_diagonal
    return TangentKernel(diagonal, off_diagonal, off_diagonal / diagonal)


def _collinear_dual(
    phi: ActivationFunction, variance: float, covariance: float, diagonal: Dual
) -> Dual:
    """Return the dual for a correlation of 1 or -1, exactly ± the diagonal where it is that.

    A difference by rounding, such as for opposite inputs of an odd activation, would grow with
    depth in the chaotic phase until the inputs are unrelated.
    """
    if covariance == variance:
        return diagonal
    opposite = dual(phi, variance, covariance, variance)
    if abs(abs(opposite.value) - diagonal.value) > _COLLINEAR_ROUNDING * diagonal.value:
        return opposite
    return Dual(math.copysign(diagonal.value, opposite.value), opposite.slope)


def _dual_curve(phi: ActivationFunction, q: float) -> Callable[[float], Dual] | None:
    """Return the dual at variance q, interpolated in the angle; None if it is not smooth."""
    from numpy.polynomial import chebyshev

    if phi in _CLOSED_FORMS:
        return None
    points = chebyshev.chebpts1(_CURVE_DEGREE + 1)
    rows = [apply_to_activation(pair_means, phi, q, q, math.pi * (1 + x) / 2)[:2] for x in points]
    coefficients = chebyshev.chebfit(points, np.array(rows), _CURVE_DEGREE)
    last, largest = np.abs(coefficients[-4:]).max(axis=0), np.abs(rows).max(axis=0)
    if (last > 1e-13 * largest).any():
        return None

    def dual_at(angle: float) -> Dual:
        value, slope = np.asarray(chebyshev.chebval(2 * angle / math.pi - 1, coefficients))
        return Dual(float(value), float(slope))

    return dual_at


def ntk_condition_number(phi: ActivationFunction, points: int, depth: int | None = None) -> float:
    """Return the condition number of the tangent kernel for `points` inputs.

    The inputs have equal norm and are uncorrelated. With the ratio r of off-diagonal and diagonal
    it is `(1 + (m - 1) r) / (1 - r)`.

    Args:
      phi: a JAX function of one number.
      points: number of inputs m, at least 1.
      depth: number of hidden layers; None for the limit of depth at criticality, where r is 1/4
        for activations with a kink and 1/3 for smooth ones.

    Raises:
      ValueError: if `points` or `depth` is out of range, or `phi` jumps.
      TypeError: if `phi` does not map one number to one number.

    Reference: Xiao, Pennington & Schoenholz, "Disentangling trainability and generalization in
    deep neural networks", 2020, section 3.3.

    >>> import jax, jax.numpy as jnp
    >>> ntk_condition_number(jax.nn.relu, 9), ntk_condition_number(jnp.tanh, 8)
    (4.0, 5.0)
    """
    if not (points >= 1 and points == int(points)):
        raise ValueError(f"points: expected an integer of at least 1, got {points!r}")
    if depth is None:
        pieces = apply_to_activation(activation_pieces, phi, 1.0)
        _check_continuous("ntk_condition_number", phi, 1.0)
        if points == 1 or _is_linear(phi):
            return 1.0
        return (points + 3) / 3 if len(pieces.kinks) else (points + 2) / 2
    ratio = ntk(phi, depth, 0.0).ratio
    return (1 + (points - 1) * ratio) / (1 - ratio)


def _is_linear(phi: ActivationFunction) -> bool:
    """Return whether the slope is constant, so that correlations do not change with depth."""
    nodes = apply_to_activation(normal_quadrature, phi, 1.0)
    weights, slope = nodes.weights, nodes.slope
    return bool(weights @ (slope - weights @ slope) ** 2 <= 1e-20 * (weights @ slope**2))


def _check_continuous(function_name: str, phi: ActivationFunction, q: float) -> None:
    """Raise if the activation jumps, or the square of its slope has no mean."""
    cause = infinite_slope_cause(phi, q)
    if cause is not None:
        raise ValueError(
            f"{function_name}: {cause}, so that the tangent kernel of an input with itself is "
            "infinite: pass a continuous activation with a bounded slope"
        )


def _piecewise_linear_dual(
    negative_slope: float, positive_slope: float
) -> Callable[[float, float, float], Dual]:
    """Return the dual of `negative_slope · min(x, 0) + positive_slope · max(x, 0)`."""
    mean_square = (negative_slope**2 + positive_slope**2) / 2
    jump = (positive_slope - negative_slope) ** 2 / (2 * math.pi)

    def dual_values(k11: float, k22: float, angle: float) -> Dual:
        slope = mean_square - jump * angle
        value = jump * math.sin(angle) + slope * math.cos(angle)
        return Dual(_geometric_mean(k11, k22) * value, slope)

    return dual_values


def _erf_dual(k11: float, k22: float, angle: float) -> Dual:
    product = (1 + 2 * k11) * (1 + 2 * k22)
    covariance = _geometric_mean(k11, k22) * math.cos(angle)
    value = 2 / math.pi * math.asin(2 * covariance / math.sqrt(product))
    return Dual(value, 4 / math.pi / math.sqrt(product - 4 * covariance**2))


def _sin_dual(k11: float, k22: float, angle: float) -> Dual:
    mean, covariance = (k11 + k22) / 2, _geometric_mean(k11, k22) * math.cos(angle)
    difference, total = math.exp(covariance - mean), math.exp(-covariance - mean)
    return Dual((difference - total) / 2, (difference + total) / 2)


def _sign_dual(k11: float, k22: float, angle: float) -> Dual:
    root = _geometric_mean(k11, k22) * math.sin(angle)
    is_collinear = angle in (0.0, math.pi)
    slope = math.inf if is_collinear else 2 / (math.pi * root)
    return Dual(1 - 2 * angle / math.pi, slope)


_CLOSED_FORMS: dict[ActivationFunction, Callable[[float, float, float], Dual]] = {
    jax.nn.relu: _piecewise_linear_dual(0, 1),
    jnp.abs: _piecewise_linear_dual(-1, 1),
    jax.scipy.special.erf: _erf_dual,
    jax.lax.erf: _erf_dual,
    jnp.sin: _sin_dual,
    jnp.sign: _sign_dual,
}
