"""Mean-field theory of deep random networks: what depth does to signals and gradients."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from scipy import optimize

from jinit.theory.moments import Activation, named_mean
from jinit.theory.normals import means, pair_means

# Fixed points of q outside this range are called zero and infinite.
_SMALLEST, _LARGEST = 1e-12, 1e12
# Where the map of variances leaves a variance this well alone, every variance is a fixed point.
_NEUTRAL = 1e-11
# An activation that is straight at zero is critical there; how straight it has to be at 1e-12.
_STRAIGHT = 1e-3
# How far χ₁ may be from one at a critical point.
_CRITICAL = 1e-7


class FixedPoint(NamedTuple):
    """What a very deep random network makes of its inputs, and how soon."""

    q: float
    """Variance of the pre-activations, q* = σ_w² E[φ²] + σ_b²."""
    c: float
    """Correlation of two inputs."""
    chi_1: float
    """σ_w² E[φ'²] at q*: growth of squared gradients, and of small differences, per layer."""
    chi_c: float
    """σ_w² E[φ'φ'] at q* and c*: growth of the distance from c* per layer."""
    xi_q: float
    """Depth, in layers, over which q forgets its start: -1 / ln |∂q'/∂q|."""
    xi_c: float
    """Depth over which c forgets its start: -1 / ln χ_c."""
    xi_grad: float
    """Depth over which gradients vanish or explode: 1 / |ln χ₁|."""
    phase: str
    """`ordered` (χ₁ < 1: inputs become alike), `chaotic` (χ₁ > 1) or `critical`."""


def q_map(phi: Activation, q: float, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    r"""Variance of the next layer's pre-activations, `σ_w² E[φ(√q z)²] + σ_b²`.

    Args:
      phi: a JAX function of one number.
      q: variance of a layer's pre-activations, > 0.
      sigma_w2: fan-in times the variance of the weights, > 0.
      sigma_b2: variance of the biases.

    Raises:
      ValueError: a variance out of range, or an activation that has no mean.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016, equation 3.

    >>> import jax
    >>> round(q_map(jax.nn.relu, 3.0, 2.0), 9)
    3.0
    """
    _check(sigma_w2, sigma_b2)
    return sigma_w2 * named_mean(means, phi, _variance(q)).second + sigma_b2


def c_map(phi: Activation, c: float, q: float, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    r"""Correlation of two inputs one layer on, `(σ_w² E[φ(u)φ(v)] + σ_b²) / q'`.

    u and v are normal with variance `q` and correlation `c`, and q' is `q_map` of q.

    Args:
      c: from -1 to 1. The others: see `q_map`.

    Reference: Poole et al. 2016, equation 5.

    >>> import jax, math
    >>> bool(abs(c_map(jax.nn.relu, 0.0, 1.0, 2.0) - 1 / math.pi) < 1e-12)
    True
    """
    if not -1 <= c <= 1:
        raise ValueError(f"c: expected a correlation from -1 to 1, got {c!r}")
    q = _variance(q)
    product, _ = named_mean(pair_means, phi, q, q, float(c))
    return (sigma_w2 * product + sigma_b2) / q_map(phi, q, sigma_w2, sigma_b2)


def fixed_point(phi: Activation, sigma_w2: float, sigma_b2: float = 0.0) -> FixedPoint:
    """Where variance and correlation go with depth, and the depth scales of getting there.

    The variance is followed from 1. Where every variance is a fixed point, as for relu with
    σ_w² = 2, that is 1 itself; `q` is 0 or infinite where the signal vanishes or explodes.

    Args and errors: see `q_map`.

    Reference: Schoenholz et al., "Deep information propagation", 2017, sections 3 and 4.

    >>> import jax.numpy as jnp
    >>> found = fixed_point(jnp.tanh, 1.3**2, 0.3**2)
    >>> round(found.q, 6), found.phase, round(found.xi_c, 4)
    (0.607047, 'ordered', 16.1082)
    """
    q = _fixed_variance(phi, sigma_w2, sigma_b2)
    at = min(max(q, _SMALLEST), _LARGEST)
    found = named_mean(means, phi, at)
    chi_1, slope = sigma_w2 * found.slope2, sigma_w2 * found.growth
    phase = _phase(chi_1)
    c, chi_c = 1.0, chi_1
    if phase == "chaotic":
        c = _fixed_correlation(phi, at, sigma_w2, sigma_b2)
        chi_c = sigma_w2 * named_mean(pair_means, phi, at, at, c)[1]
    return FixedPoint(q, c, chi_1, chi_c, _depth(slope), _depth(chi_c), _depth(chi_1), phase)


def critical_point(phi: Activation, q: float) -> tuple[float, float]:
    """(σ_w², σ_b²) at which `q` is a fixed point and χ₁ = 1.

    σ_w² = 1 / E[φ'²] and σ_b² = q - σ_w² E[φ²].

    Raises:
      ValueError: biases would need a negative variance; `q` out of range.

    Reference: Schoenholz et al. 2017, section 3.

    >>> import jax.numpy as jnp
    >>> sigma_w2, sigma_b2 = critical_point(jnp.tanh, 0.5)
    >>> round(sigma_w2, 6), round(sigma_b2, 6)
    (1.687975, 0.038041)
    """
    found = named_mean(means, phi, _variance(q))
    if found.slope2 == 0:
        raise ValueError("critical_point: this activation is flat, no weights carry a gradient")
    sigma_w2 = 1 / found.slope2
    sigma_b2 = q - sigma_w2 * found.second
    if sigma_b2 < -_NEUTRAL * q:
        raise ValueError(
            f"critical_point: q={q:g} and χ₁ = 1 would need biases of variance {sigma_b2:.3g}; "
            "this activation has no critical point there"
        )
    return sigma_w2, max(sigma_b2, 0.0)


def critical_sigma_w2(phi: Activation, sigma_b2: float = 0.0) -> float:
    """σ_w² on the critical line χ₁ = 1, for biases of variance `sigma_b2`.

    Raises:
      ValueError: the critical line does not reach these biases.

    >>> import jax, jax.numpy as jnp
    >>> round(critical_sigma_w2(jnp.tanh, 0.05), 6), round(critical_sigma_w2(jax.nn.relu), 6)
    (1.760955, 2.0)
    """
    _check(1.0, sigma_b2)

    def missing(log_q: float) -> float:
        q = math.exp(log_q)
        found = named_mean(means, phi, q)
        return q - found.second / found.slope2 - sigma_b2 if found.slope2 else -math.inf

    low, high = math.log(_SMALLEST), math.log(1e6)
    if not sigma_b2 and abs(missing(low)) < _STRAIGHT * _SMALLEST:
        return 1 / named_mean(means, phi, _SMALLEST).slope2
    steps = [low + (high - low) * step / 60 for step in range(61)]
    for left, right in itertools.pairwise(steps):
        if missing(left) < 0 <= missing(right):
            return critical_point(phi, math.exp(_root(missing, left, right)))[0]
    raise ValueError(
        f"critical_sigma_w2: no σ_w² makes χ₁ = 1 with biases of variance {sigma_b2:g}; "
        "the critical line of this activation does not reach them"
    )


def _fixed_variance(phi: Activation, sigma_w2: float, sigma_b2: float) -> float:
    def change(log_q: float) -> float:
        q = math.exp(log_q)
        return q_map(phi, q, sigma_w2, sigma_b2) / q - 1

    first = change(0.0)
    if abs(first) < _NEUTRAL:
        return 1.0
    here, bound = 0.0, math.log(_LARGEST if first > 0 else _SMALLEST)
    while here != bound:
        there = min(here + 1, bound) if first > 0 else max(here - 1, bound)
        if change(there) * first <= 0:
            return math.exp(_root(change, min(here, there), max(here, there)))
        here = there
    return math.inf if first > 0 else 0.0


def _fixed_correlation(phi: Activation, q: float, sigma_w2: float, sigma_b2: float) -> float:
    """The one below 1; it is unstable there."""

    def change(c: float) -> float:
        return c_map(phi, c, q, sigma_w2, sigma_b2) - c

    if abs(change(0.0)) < _NEUTRAL:
        return 0.0
    near = next((1 - gap for gap in (1e-6, 1e-8, 1e-10) if change(1 - gap) < 0), None)
    return 1.0 if near is None else _root(change, 0.0, near)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return optimize.root_scalar(function, bracket=[low, high], xtol=1e-14, rtol=1e-13).root


def _phase(chi_1: float) -> str:
    if abs(chi_1 - 1) < _CRITICAL:
        return "critical"
    return "ordered" if chi_1 < 1 else "chaotic"


def _depth(factor: float) -> float:
    """Layers over which powers of the factor change by e; no sign, growth is infinitely deep."""
    size = abs(factor)
    if size == 0:
        return 0.0
    return math.inf if abs(size - 1) < _CRITICAL else 1 / abs(math.log(size))


def _variance(q: float) -> float:
    if not 0 < q < math.inf:
        raise ValueError(f"q: expected a finite variance above 0, got {q!r}")
    return float(q)


def _check(sigma_w2: float, sigma_b2: float) -> None:
    if not 0 < sigma_w2 < math.inf:
        raise ValueError(f"sigma_w2: expected a finite variance above 0, got {sigma_w2!r}")
    if not 0 <= sigma_b2 < math.inf:
        raise ValueError(f"sigma_b2: expected a finite variance of at least 0, got {sigma_b2!r}")
