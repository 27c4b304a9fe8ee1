"""Mean-field theory of deep random networks: how depth changes signals and gradients."""

import itertools
import math
from typing import NamedTuple

from jinit.theory.checks import check_bias_variance, check_correlation, check_variance
from jinit.theory.moments import apply_to_activation
from jinit.theory.normal_means import ActivationFunction, activation_means, find_jump
from jinit.theory.pair_means import has_square_slope, pair_means
from jinit.theory.roots import find_root

# Fixed points of q outside this range are treated as 0 and ∞.
_MIN_Q, _MAX_Q = 1e-12, 1e12
# If q' differs from q by less than this fraction, every variance is taken as a fixed point.
_FIXED_TOLERANCE = 1e-11
# An activation that is linear at zero is critical there: q at which this is decided, and tolerance.
_LINEAR_Q, _LINEAR_TOLERANCE = 1e-20, 1e-3
# Values of ln(1 - c), in which the stable correlation c of the chaotic phase is bracketed.
_LOG_GAPS = tuple(-2.0 * step for step in range(1, 16))
# Largest |χ₁ - 1| at a critical point.
_CRITICAL_TOLERANCE = 1e-7


class FixedPoint(NamedTuple):
    """Fixed point of the mean-field maps, with its depth scales in layers."""

    q: float
    """Variance of the pre-activations, q* = σ_w² E[φ²] + σ_b²."""
    c: float
    """Correlation of two inputs, c*."""
    chi_1: float
    """σ_w² E[φ'²] at q*: growth of squared gradients, and of small differences, per layer.

    It is infinite where φ jumps: differences of inputs grow as their square root.
    """
    chi_c: float
    """σ_w² E[φ'φ'] at q* and c*: growth of the distance from c* per layer."""
    xi_q: float
    """Depth over which q converges: -1 / ln |∂q'/∂q|."""
    xi_c: float
    """Depth over which c converges: -1 / ln χ_c."""
    xi_grad: float
    """Depth over which gradients vanish or explode: 1 / |ln χ₁|."""
    phase: str
    """`ordered` (χ₁ < 1: inputs become equal), `chaotic` (χ₁ > 1) or `critical`."""


class CriticalPoint(NamedTuple):
    """Variances of weights and biases with χ₁ = 1."""

    sigma_w2: float
    """Fan-in times the variance of the weights."""
    sigma_b2: float
    """Variance of the biases."""


def q_map(phi: ActivationFunction, q: float, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    r"""Return the variance of the next layer's pre-activations, `σ_w² E[φ(√q z)²] + σ_b²`.

    Args:
      phi: a JAX function of one number.
      q: variance of a layer's pre-activations, above 0.
      sigma_w2: fan-in times the variance of the weights, above 0.
      sigma_b2: variance of the biases, at least 0.

    Raises:
      ValueError: if a variance is out of range, or `phi` has no such mean.
      TypeError: if `phi` does not map one number to one number.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016, equation 3.

    >>> import jax
    >>> round(q_map(jax.nn.relu, 3.0, 2.0), 9)
    3.0
    """
    check_variance("sigma_w2", sigma_w2)
    check_bias_variance(sigma_b2)
    second = apply_to_activation(activation_means, phi, check_variance("q", q)).second
    return sigma_w2 * second + sigma_b2


def c_map(
    phi: ActivationFunction, c: float, q: float, sigma_w2: float, sigma_b2: float = 0.0
) -> float:
    r"""Return the correlation of two inputs after one more layer, `(σ_w² E[φ(u)φ(v)] + σ_b²) / q'`.

    u and v are normal with variance `q` and correlation `c`, and q' is `q_map` of q.

    Args:
      phi: a JAX function of one number.
      c: correlation of the pre-activations, from -1 to 1.
      q: variance of the pre-activations, above 0.
      sigma_w2: fan-in times the variance of the weights, above 0.
      sigma_b2: variance of the biases, at least 0.

    Raises:
      ValueError: if a variance or `c` is out of range, or `phi` has no such mean.
      TypeError: if `phi` does not map one number to one number.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016, equation 5.

    >>> import jax, math
    >>> bool(abs(c_map(jax.nn.relu, 0.0, 1.0, 2.0) - 1 / math.pi) < 1e-12)
    True
    """
    c, q = check_correlation(c), check_variance("q", q)
    product = apply_to_activation(pair_means, phi, q, q, math.acos(c)).product
    return (sigma_w2 * product + sigma_b2) / q_map(phi, q, sigma_w2, sigma_b2)


def fixed_point(phi: ActivationFunction, sigma_w2: float, sigma_b2: float = 0.0) -> FixedPoint:
    """Return the limits of variance and correlation at large depth, and their depth scales.

    The variance is followed from q = 1. Where every variance is a fixed point, as for relu with
    σ_w² = 2, it is 1. `q` is 0 or infinite where the signal vanishes or explodes.

    Args:
      phi: a JAX function of one number.
      sigma_w2: fan-in times the variance of the weights, above 0.
      sigma_b2: variance of the biases, at least 0.

    Raises:
      ValueError: if a variance is out of range, or `phi` has no such mean.
      TypeError: if `phi` does not map one number to one number.

    Reference: Schoenholz et al., "Deep information propagation", 2017, sections 3 and 4.

    >>> import jax.numpy as jnp
    >>> found = fixed_point(jnp.tanh, 1.3**2, 0.3**2)
    >>> round(found.q, 6), found.phase, round(found.xi_c, 4)
    (0.607047, 'ordered', 16.1082)
    """
    q = _fixed_variance(phi, sigma_w2, sigma_b2)
    finite_q = min(max(q, _MIN_Q), _MAX_Q)
    means = apply_to_activation(activation_means, phi, finite_q)
    has_slope = apply_to_activation(has_square_slope, phi, finite_q)
    chi_1 = sigma_w2 * means.slope2 if has_slope else math.inf
    phase = _phase(chi_1)
    angle, chi_c = 0.0, chi_1
    if phase == "chaotic":
        angle = _fixed_angle(phi, finite_q, sigma_w2, sigma_b2)
        chi_c = sigma_w2 * apply_to_activation(pair_means, phi, finite_q, finite_q, angle).slope
    return FixedPoint(
        q=q,
        c=math.sin(math.pi / 2 - angle),
        chi_1=chi_1,
        chi_c=chi_c,
        xi_q=_depth_scale(sigma_w2 * means.q_derivative),
        xi_c=_depth_scale(chi_c),
        xi_grad=_depth_scale(chi_1),
        phase=phase,
    )


def critical_point(phi: ActivationFunction, q: float) -> CriticalPoint:
    """Return (σ_w², σ_b²) at which `q` is a fixed point and χ₁ = 1.

    σ_w² = 1 / E[φ'²] and σ_b² = q - σ_w² E[φ²]. Every q has such a point; `deep_variances` in
    `jinit.gains` chooses the one that a number of layers keeps, as `jinit.recommend` does.

    Args:
      phi: a JAX function of one number.
      q: variance of the pre-activations, above 0.

    Raises:
      ValueError: if `q` is out of range, `phi` is flat or jumps, or biases would need a negative
        variance.
      TypeError: if `phi` does not map one number to one number.

    Reference: Schoenholz et al., "Deep information propagation", 2017, section 3.

    >>> import jax.numpy as jnp
    >>> sigma_w2, sigma_b2 = critical_point(jnp.tanh, 0.5)
    >>> round(sigma_w2, 6), round(sigma_b2, 6)
    (1.687975, 0.038041)
    """
    means = apply_to_activation(activation_means, phi, check_variance("q", q))
    check_without_jumps("critical_point", phi, q)
    if means.slope2 == 0:
        raise ValueError(
            "critical_point: this activation is flat, so that no weights carry a gradient: pass "
            "one whose slope is not zero everywhere"
        )
    sigma_w2 = 1 / means.slope2
    sigma_b2 = q - sigma_w2 * means.second
    if sigma_b2 < -_FIXED_TOLERANCE * q:
        raise ValueError(
            f"critical_point: q={q:g} and χ₁ = 1 would need biases of variance {sigma_b2:.3g}; "
            "this activation has no critical point there"
        )
    return CriticalPoint(sigma_w2, max(sigma_b2, 0.0))


def critical_sigma_w2(phi: ActivationFunction, sigma_b2: float = 0.0) -> float:
    """Return σ_w² on the critical line χ₁ = 1, for biases of variance `sigma_b2`.

    Args:
      phi: a JAX function of one number.
      sigma_b2: variance of the biases, at least 0.

    Raises:
      ValueError: if the critical line does not reach these biases, or `phi` jumps.
      TypeError: if `phi` does not map one number to one number.

    Reference: Schoenholz et al., "Deep information propagation", 2017, section 3.

    >>> import jax, jax.numpy as jnp
    >>> round(critical_sigma_w2(jnp.tanh, 0.05), 6), round(critical_sigma_w2(jax.nn.relu), 6)
    (1.760955, 2.0)
    """
    check_bias_variance(sigma_b2)

    def bias_variance_gap(log_q: float) -> float:
        q = math.exp(log_q)
        means = apply_to_activation(activation_means, phi, q)
        return q - means.second / means.slope2 - sigma_b2 if means.slope2 else -math.inf

    low, high = math.log(_MIN_Q), math.log(1e6)
    if not sigma_b2 and abs(bias_variance_gap(math.log(_LINEAR_Q))) < _LINEAR_TOLERANCE * _LINEAR_Q:
        return 1 / apply_to_activation(activation_means, phi, _LINEAR_Q).slope2
    check_without_jumps("critical_sigma_w2: no σ_w² makes χ₁ = 1", phi, 1.0)
    grid = [low + (high - low) * step / 60 for step in range(61)]
    for left, right in itertools.pairwise(grid):
        if bias_variance_gap(left) < 0 <= bias_variance_gap(right):
            q = math.exp(find_root(bias_variance_gap, left, right))
            return critical_point(phi, q).sigma_w2
    raise ValueError(
        f"critical_sigma_w2: no σ_w² makes χ₁ = 1 with biases of variance {sigma_b2:g}; "
        "the critical line of this activation does not reach them"
    )


def infinite_slope_cause(phi: ActivationFunction, q: float) -> str | None:
    """Return why χ₁ is infinite, as a clause; None if it is finite.

    Args:
      phi: a JAX function of one number.
      q: variance of the pre-activations.
    """
    if math.isinf(apply_to_activation(activation_means, phi, q).slope2):
        return "the square of its slope has no mean"
    place = apply_to_activation(find_jump, phi, q)
    return None if place is None else f"it jumps at {place:.6g}"


def check_without_jumps(problem: str, phi: ActivationFunction, q: float) -> None:
    """Raise if χ₁ is infinite for every σ_w², because φ jumps or its squared slope has no mean.

    Args:
      problem: the function, and what it cannot do.
      phi: a JAX function of one number.
      q: variance of the pre-activations.
    """
    cause = infinite_slope_cause(phi, q)
    if cause is None:
        return
    raise ValueError(
        f"{problem}: χ₁ is infinite for every σ_w² because {cause}: close inputs always part; pass "
        "a continuous activation with a bounded slope, or see fixed_point for the correlation"
    )


def _fixed_variance(phi: ActivationFunction, sigma_w2: float, sigma_b2: float) -> float:
    """Return the first fixed point of the variance in the direction in which q = 1 moves."""

    def change(log_q: float) -> float:
        q = math.exp(log_q)
        return q_map(phi, q, sigma_w2, sigma_b2) / q - 1

    first = change(0.0)
    if abs(first) < _FIXED_TOLERANCE:
        return 1.0
    log_q, bound = 0.0, math.log(_MAX_Q if first > 0 else _MIN_Q)
    while log_q != bound:
        following = min(log_q + 1, bound) if first > 0 else max(log_q - 1, bound)
        if change(following) * first <= 0:
            return math.exp(find_root(change, min(log_q, following), max(log_q, following)))
        log_q = following
    return math.inf if first > 0 else 0.0


def _fixed_angle(phi: ActivationFunction, q: float, sigma_w2: float, sigma_b2: float) -> float:
    """Return the angle of the stable correlation below 1 in the chaotic phase; 0 if there is none.

    1 - c is computed as such, so that correlations near 1 keep their digits.
    """
    following_q = q_map(phi, q, sigma_w2, sigma_b2)

    def change(log_gap: float) -> float:
        gap = math.exp(log_gap)
        angle = 2 * math.asin(math.sqrt(gap / 2))
        half_square = apply_to_activation(pair_means, phi, q, q, angle).half_square
        return sigma_w2 * half_square / following_q / gap - 1

    if abs(change(0.0)) < _FIXED_TOLERANCE:
        return math.pi / 2
    upper = 0.0
    for log_gap in _LOG_GAPS:
        if change(log_gap) > 0:
            gap = math.exp(find_root(change, log_gap, upper))
            return 2 * math.asin(math.sqrt(gap / 2))
        upper = log_gap
    return 0.0


def _phase(chi_1: float) -> str:
    if abs(chi_1 - 1) < _CRITICAL_TOLERANCE:
        return "critical"
    return "ordered" if chi_1 < 1 else "chaotic"


def _depth_scale(factor: float) -> float:
    """Return 1 / |ln |factor||, the number of layers over which a signal changes by a factor e.

    It is infinite for a factor of ±1 and 0 for a factor of 0.
    """
    size = abs(factor)
    if size == 0:
        return 0.0
    return math.inf if abs(size - 1) < _CRITICAL_TOLERANCE else 1 / abs(math.log(size))
