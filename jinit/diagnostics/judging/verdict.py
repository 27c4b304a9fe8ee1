"""The verdict of a sweep on one initialization, from the signal statistics of its hidden layers."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from jinit.diagnostics.judging.interval import power_law_growth
from jinit.diagnostics.judging.thresholds import SATURATED_FRACTION, SWEEP_DEVIATIONS
from jinit.theory import finite_width


def verdict(
    second_moment: ArrayLike,
    gradient_std: ArrayLike,
    saturated_fraction: ArrayLike,
    identical: ArrayLike,
    widths: Sequence[int],
) -> str:
    """Return `symmetric`, `saturated`, `exploding`, `vanishing` or `stable`.

    A signal (forward) or gradient (backward) explodes or vanishes if the logarithm of its mean
    square, last over first hidden layer, leaves the interval of a healthy network: three standard
    deviations of the finite-width distribution of relu layers, and at least ±ln 4L, because at
    criticality smooth activations decay like a power of the depth L. A network is saturated if
    more than 0.6 of the activations of some layer are at their limits, and symmetric if all units
    of some layer compute the same function.

    Args:
      second_moment: mean square of the pre-activations of each hidden layer.
      gradient_std: standard deviation of the gradient with respect to them.
      saturated_fraction: fraction of saturated activations of each hidden layer.
      identical: for each hidden layer, whether its units are all the same.
      widths: number of units of each hidden layer.

    Returns:
      The first of these verdicts that applies.

    Reference: Hanin & Nica, "Products of many large random matrices and gradients in deep neural
    networks", 2018 (finite width).

    >>> verdict([1.0, 0.5, 0.25, 0.125], [1.0] * 4, [0.0] * 4, [False] * 4, [4096] * 4)
    'stable'
    >>> verdict([2.0**-n for n in range(20)], [1.0] * 20, [0.0] * 20, [False] * 20, [4096] * 20)
    'vanishing'
    """
    if np.any(identical):
        return "symmetric"
    if np.any(np.asarray(saturated_fraction) > SATURATED_FRACTION):
        return "saturated"
    forward = _log_ratio(np.asarray(second_moment))
    backward = _log_ratio(np.square(np.asarray(gradient_std, np.float64))[::-1])
    low, high = _healthy_interval(widths[1:])
    if max(forward, backward) > high:
        return "exploding"
    if min(forward, backward) < low:
        return "vanishing"
    return "stable"


def _log_ratio(sizes: np.ndarray) -> float:
    """Return ln(last / first): inf after an overflow, -inf if either is zero."""
    if len(sizes) < 2:
        return 0.0
    first, last = float(sizes[0]), float(sizes[-1])
    if not math.isfinite(last):
        return math.inf
    if last == 0 or first == 0:
        return -math.inf
    return math.log(last) - math.log(first)


def _healthy_interval(widths: Sequence[int]) -> tuple[float, float]:
    """Return the healthy interval of ln(last / first), given the widths after the first layer."""
    growth = finite_width(widths)
    reach = SWEEP_DEVIATIONS * math.sqrt(growth.log_var)
    power_law = power_law_growth(len(widths) + 1)
    return min(growth.log_mean - reach, -power_law), max(growth.log_mean + reach, power_law)
