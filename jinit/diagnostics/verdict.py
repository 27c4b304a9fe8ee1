"""One word for a starting point, judged against what its width and depth make normal."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from jinit.theory import finite_width

# Standard deviations of the finite-width law that a healthy network may stray.
_DEVIATIONS = 3.0
# A healthy relu6 has half of its activations at its lower limit, as relu has its zeros.
_SATURATED = 0.6


def verdict(
    second_moment: ArrayLike,
    gradient_std: ArrayLike,
    saturated: ArrayLike,
    identical: ArrayLike,
    widths: Sequence[int],
) -> str:
    """`symmetric`, `saturated`, `exploding`, `vanishing` or `stable`, from the hidden layers.

    A signal (forward) or gradient (backward) explodes or vanishes when the logarithm of its mean
    square, last against first hidden layer, leaves the band of a healthy network: three standard
    deviations of the finite-width law of relu layers, and at least ln 4L, because at criticality
    smooth activations decay like a power of the depth L. Saturated: more than 0.6 of the
    activations of some layer are at their limits. Symmetric: the units of some layer all compute
    the same.

    Args:
      second_moment: mean square of the pre-activations by hidden layer.
      gradient_std: standard deviation of the gradient with respect to them.
      saturated: share of saturated activations. identical: whether the units are all the same.
      widths: number of units of each hidden layer.

    >>> verdict([1.0, 0.5, 0.25, 0.125], [1.0] * 4, [0.0] * 4, [False] * 4, [4096] * 4)
    'stable'
    >>> verdict([2.0**-n for n in range(20)], [1.0] * 20, [0.0] * 20, [False] * 20, [4096] * 20)
    'vanishing'
    """
    if np.any(identical):
        return "symmetric"
    if np.any(np.asarray(saturated) > _SATURATED):
        return "saturated"
    forward = _log_ratio(np.asarray(second_moment))
    backward = _log_ratio(np.square(np.asarray(gradient_std, np.float64))[::-1])
    low, high = _band(widths[1:])
    if max(forward, backward) > high:
        return "exploding"
    if min(forward, backward) < low:
        return "vanishing"
    return "stable"


def _log_ratio(sizes: np.ndarray) -> float:
    """ln(last / first): +inf when it overflowed, -inf when nothing is left."""
    if len(sizes) < 2:
        return 0.0
    first, last = float(sizes[0]), float(sizes[-1])
    if not math.isfinite(last):
        return math.inf
    if last == 0 or first == 0:
        return -math.inf
    return math.log(last) - math.log(first)


def _band(widths: Sequence[int]) -> tuple[float, float]:
    law = finite_width(widths)
    reach = _DEVIATIONS * math.sqrt(law.log_var)
    power_law = math.log(4 * (len(widths) + 1))
    return min(law.log_mean - reach, -power_law), max(law.log_mean + reach, power_law)
