"""Comparisons of two candidates by the differences over their common seeds.

One seed means one order of the data and one random draw for every configuration, so the variation
that a seed brings to both cancels in the difference.
"""

import math
from collections.abc import Mapping

import numpy as np

from jinit.report.sweep.intervals import (
    CONFIDENCE,
    FLOAT32_RESOLUTION,
    MeanInterval,
    mean_interval,
)

# Fewer equal differences than this leave the interval open.
_FEWEST_EQUAL_PAIRS = 3


def paired_differences(first: Mapping[int, float], second: Mapping[int, float]) -> np.ndarray:
    """Return `first − second` for the seeds that both have, in the order of the seeds.

    A difference of the size of a rounding error in float32 counts as zero.

    Args:
      first: value by seed of one candidate.
      second: value by seed of the other.

    >>> paired_differences({0: 0.75, 1: 1.5}, {0: 0.5, 1: 0.75, 2: 9.0}).tolist()
    [0.25, 0.75]
    """
    seeds = sorted(first.keys() & second.keys())
    left = np.array([first[seed] for seed in seeds], float)
    right = np.array([second[seed] for seed in seeds], float)
    differences = left - right
    rounding = FLOAT32_RESOLUTION * np.maximum(np.abs(left), np.abs(right))
    differences[np.abs(differences) <= rounding] = 0.0
    return differences


def paired_interval(
    first: Mapping[int, float],
    second: Mapping[int, float],
    confidence: float = CONFIDENCE,
    resolution: float = 0.0,
) -> MeanInterval | None:
    """Return the interval of the mean of `first − second` over the seeds that both have.

    Accuracies are counts, so a few differences are easily equal by chance, or nearly. The variance
    of the two rounding errors, 2 · resolution² / 12, is therefore added to that of the differences.
    Fewer than three differences that are equal and not zero leave the interval open.

    Args:
      first: value by seed of one candidate.
      second: value by seed of the other.
      confidence: share of such intervals that cover the expectation, for normal differences.
      resolution: distance between two neighboring values; 0 if values can be any number.

    Returns:
      The mean difference and its interval; None below two common seeds.

    Reference: Sheppard, On the calculation of the most probable values of frequency constants,
    Proceedings of the London Mathematical Society 29, 1898.

    >>> paired_interval({0: 0.75, 1: 1.5}, {0: 0.5, 1: 0.75, 2: 9.0}).mean
    0.5
    >>> paired_interval({0: 0.75, 1: 1.25}, {0: 0.5, 1: 1.0}).half_width
    inf
    >>> paired_interval({0: 0.75}, {0: 0.5}) is None
    True
    """
    differences = paired_differences(first, second)
    if len(differences) < 2:
        return None
    interval = mean_interval(differences, confidence, rounding_variance=resolution**2 / 6)
    is_constant = bool(np.ptp(differences) == 0)
    if is_constant and interval.mean != 0 and interval.count < _FEWEST_EQUAL_PAIRS:
        return MeanInterval(interval.mean, -math.inf, math.inf, interval.count)
    return interval


def paired_p_value(difference: MeanInterval | None) -> float:
    """Return the two-sided p-value of Student's paired t test of a difference of zero.

    Args:
      difference: the 95 % interval of the mean difference; None if it is unknown, which gives 1.

    Reference: Student, The probable error of a mean, 1908.

    >>> paired_p_value(MeanInterval(0.0, -1.0, 1.0, 8)), paired_p_value(None)
    (1.0, 1.0)
    >>> round(paired_p_value(MeanInterval(1.0, 0.0, 2.0, 8)), 12)  # an interval that touches zero
    0.05
    """
    if difference is None or not math.isfinite(difference.half_width):
        return 1.0
    if difference.half_width == 0:
        return 1.0 if difference.mean == 0 else 0.0
    from scipy.special import stdtr, stdtrit  # heavy: loaded where they are used

    freedom = difference.count - 1
    quantile = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    return 2 * float(stdtr(freedom, -abs(difference.mean) / difference.half_width * quantile))
