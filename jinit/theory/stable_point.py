"""The critical point at which a deep network of an activation keeps signal and gradient."""

import itertools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jinit.theory.meanfield import CriticalPoint, check_without_jumps
from jinit.theory.moments import apply_to_activation
from jinit.theory.normal_means import ActivationFunction, ActivationMeans, activation_means
from jinit.theory.roots import find_root

_SMALLEST_LOG_Q, _LARGEST_LOG_Q = -46.0, 27.0
"""Range of ln q in which the scale of an activation is sought."""
_BEND = 0.1
"""Change of ln E[φ'²], beyond a power of q, that marks the scale at which an activation bends."""
_STEPS = range(-3, 9)
"""Exponents of 4 of the variances, in units of that scale, at which the line is searched."""
_LEAST_SLOPE_SHARE = 0.4
"""Least E[φ'²], relative to its maximum at smaller q: below it, an activation is saturated."""
_LEAST_DECAY_EXPONENT = 0.75
"""Between 1 for tanh, where q decays as 1/l with the depth l, and 1/2 for elu, as 1/l²."""
_RATE_SHARE = 0.9
"""The smallest q is taken whose rate of convergence is at least this fraction of the largest."""
_ROUNDING = 1e-8
"""Relative changes of variances below this are rounding errors of an activation."""


@lru_cache(maxsize=256)
def stable_critical_point(phi: ActivationFunction) -> CriticalPoint | None:
    r"""Return (σ_w², σ_b²) with χ₁ = 1 at which deep networks keep signal and gradient, or None.

    The point has no biases where that is stable, or where the signal decays no faster than the
    inverse of the depth: (2, 0) for relu, (1, 0) for tanh. Otherwise it lies on the critical line,
    where a signal converges to the fixed point the fastest, or at the smallest q with nine tenths
    of that rate, among the points at which the activation is not saturated.

    It is the answer for any number of layers. `jinit.recommend` knows how many there are, and takes
    a smaller q where that suffices.

    For φ(a x) both variances are divided by a², for c φ(x) that of the weights by c². There is no
    such point for activations that jump, and none for sigmoid and softplus, which would need a
    negative variance of the biases.

    Args:
      phi: a JAX function of one number.

    Raises:
      TypeError: if `phi` does not map one number to one number.

    Reference: Roberts, Yaida & Hanin, "The principles of deep learning theory", 2022, section 5.3.

    >>> import jax
    >>> tuple(stable_critical_point(jax.nn.relu)), stable_critical_point(jax.nn.softplus)
    ((2.0, 0.0), None)
    """
    try:
        return _find_stable_point(phi)
    except ValueError:  # it has no means
        return None


class _LinePoint(NamedTuple):
    """A point of the critical line."""

    log_q: float
    sigma_w2: float
    sigma_b2: float
    q_slope: float
    """∂q'/∂q at the fixed point q."""
    slope2: float
    """E[φ'²]."""


def _find_stable_point(phi: ActivationFunction) -> CriticalPoint | None:
    scale = _log_scale(phi)
    log_unit = 0.0 if scale is None else scale
    check_without_jumps("stable_critical_point", phi, math.exp(log_unit))
    smallest = _means(phi, log_unit - 30)
    if _decays_slowly(phi, log_unit, smallest):
        return CriticalPoint(1 / smallest.slope2, 0.0)
    return _most_stable_point(phi, log_unit)


def _means(phi: ActivationFunction, log_q: float) -> ActivationMeans:
    return apply_to_activation(activation_means, phi, math.exp(log_q))


def _log_scale(phi: ActivationFunction) -> float | None:
    """Return ln q where E[φ'²] leaves the power of q that it follows at 0; None if it never does.

    It is sought twice, the second time relative to the scale found, so that φ(a x) has exactly the
    scale of φ divided by a².
    """
    low, scale = _SMALLEST_LOG_Q, None
    for _ in range(2):
        bend = _bend_function(phi, low)
        if bend(_LARGEST_LOG_Q) < 0 or bend(low) > 0:
            return None
        scale = find_root(bend, low, _LARGEST_LOG_Q)
        low = scale - 30
    return scale


def _bend_function(phi: ActivationFunction, low: float) -> Callable[[float], float]:
    """Return the distance of ln E[φ'²] from its power law at exp(low), less the threshold."""

    def log_slope2(log_q: float) -> float:
        slope2 = _means(phi, log_q).slope2
        return math.log(slope2) if slope2 else -math.inf

    first = log_slope2(low)
    power = round(2 * (log_slope2(low + 1) - first)) / 2 if math.isfinite(first) else 0.0

    def bend(log_q: float) -> float:
        try:
            distance = log_slope2(log_q) - first - power * (log_q - low)
        except ValueError:  # it oscillates too fast
            return 1.0
        return min(abs(distance) - _BEND, 1.0) if math.isfinite(distance) else 1.0

    return bend


def _decays_slowly(phi: ActivationFunction, log_unit: float, smallest: ActivationMeans) -> bool:
    """Return whether q stays, or decays at most as 1/depth, under the critical weights of q = 0.

    With q' = q (1 - κ qᵖ), q decays as depth^(-1/p).
    """
    if not smallest.slope2:
        return False
    losses = []
    for steps in (2, 4):
        means = _means(phi, log_unit - steps * math.log(4))
        if abs(means.slope2 / smallest.slope2 - 1) > 2 * _BEND:
            return False
        losses.append(1 - means.second / (smallest.slope2 * means.q))
    larger, smaller = losses
    if larger < -_ROUNDING:
        return False
    if smaller < _ROUNDING:
        return True
    return math.log(larger / smaller) / math.log(16) > _LEAST_DECAY_EXPONENT


def _most_stable_point(phi: ActivationFunction, log_unit: float) -> CriticalPoint | None:
    """Return the point of the critical line with the smallest slope of the variance map."""
    line = [_line_point(phi, log_unit + step * math.log(4)) for step in _STEPS]
    largest = list(itertools.accumulate((point.slope2 for point in line), max))
    margins = [_margin(point, most) for point, most in zip(line, largest, strict=True)]
    inside = [index for index, margin in enumerate(margins) if margin >= 0]
    if not inside:
        return None
    best = min(inside, key=lambda index: line[index].q_slope)

    def margin(log_q: float) -> float:
        return _margin(_line_point(phi, log_q), largest[best])

    low, high = (line[min(max(best + side, 0), len(line) - 1)].log_q for side in (-1, 1))
    middle = line[best].log_q
    low = find_root(margin, low, middle) if margin(low) < 0 else low
    high = find_root(margin, middle, high) if margin(high) < 0 else high
    fastest = _flattest_point(phi, low, high)
    if fastest.q_slope >= 1 - _ROUNDING:
        return None
    point = _smallest_fast_point(phi, fastest, line, largest[best])
    if _has_lower_fixed_point(phi, point, line):
        return None
    return CriticalPoint(point.sigma_w2, max(point.sigma_b2, 0.0))


def _smallest_fast_point(
    phi: ActivationFunction, fastest: _LinePoint, line: list[_LinePoint], largest_slope2: float
) -> _LinePoint:
    """Return the point with the smallest q from which convergence is nearly the fastest."""
    largest_slope = 1 - _RATE_SHARE * (1 - fastest.q_slope)

    def excess(log_q: float) -> float:
        point = _line_point(phi, log_q)
        # Positive at the fastest point, even where that lies on the bound of the margin.
        return min(_margin(point, largest_slope2), largest_slope - point.q_slope) + 1e-12

    smallest = fastest.log_q
    for point in reversed([point for point in line if point.log_q < fastest.log_q]):
        if excess(point.log_q) < 0:
            return _line_point(phi, find_root(excess, point.log_q, smallest))
        smallest = point.log_q
    return _line_point(phi, smallest)


def _line_point(phi: ActivationFunction, log_q: float) -> _LinePoint:
    means, q = _means(phi, log_q), math.exp(log_q)
    sigma_w2 = 1 / means.slope2 if means.slope2 else math.inf
    return _LinePoint(
        log_q=log_q,
        sigma_w2=sigma_w2,
        sigma_b2=q - sigma_w2 * means.second,
        q_slope=abs(sigma_w2 * means.q_derivative),
        slope2=means.slope2,
    )


def _margin(point: _LinePoint, largest_slope2: float) -> float:
    """Return a number that is negative where biases are impossible or φ is saturated."""
    share = point.sigma_b2 / math.exp(point.log_q)
    return min(share, point.slope2 / largest_slope2 - _LEAST_SLOPE_SHARE)


def _flattest_point(phi: ActivationFunction, low: float, high: float) -> _LinePoint:
    """Return the point between two variances with the smallest slope of the variance map."""
    from scipy import optimize  # heavy: it would double the time of `import jinit`

    found = optimize.minimize_scalar(
        lambda log_q: _line_point(phi, log_q).q_slope,
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    candidates = (_line_point(phi, log_q) for log_q in (low, float(found.x), high))
    return min(candidates, key=lambda point: point.q_slope)


def _has_lower_fixed_point(
    phi: ActivationFunction, point: _LinePoint, line: list[_LinePoint]
) -> bool:
    """Return whether a signal smaller than that of the point would not grow towards it."""
    below = [other.log_q for other in line if other.log_q < point.log_q]
    growth = [
        point.sigma_w2 * _means(phi, log_q).second + point.sigma_b2 - math.exp(log_q)
        for log_q in below
    ]
    return bool(np.min(growth, initial=1.0) <= 0)
