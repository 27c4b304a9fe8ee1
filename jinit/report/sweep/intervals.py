"""Means over seeds with Student t intervals, and paired comparisons by seed."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

FEW_SEEDS = 4
"""Below this number of seeds the range of the values is shown in place of the interval."""

_CONFIDENCE = 0.95
# Fewer equal differences than this leave the interval open.
_FEWEST_EQUAL_PAIRS = 3

FLOAT32_RESOLUTION = float(np.finfo(np.float32).eps)
"""Recorded metrics are computed in float32: a smaller relative difference is rounding."""


@dataclass(frozen=True)
class MeanInterval:
    """A mean of `count` values and the 95 % interval that covers its expectation.

    >>> MeanInterval(mean=0.5, low=0.25, high=0.75, count=8).half_width
    0.25
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def half_width(self) -> float:
        """Half the width; infinite when a single value leaves the spread unknown."""
        return (self.high - self.low) / 2


def mean_interval(values: Iterable[float], confidence: float = _CONFIDENCE) -> MeanInterval:
    """Return the mean ± t · s / √n, with t the Student quantile of n − 1 degrees of freedom.

    Equal values give an interval of width zero; a single value gives an infinite one.

    Args:
      values: independent values, one per seed.
      confidence: share of such intervals that cover the expectation, for normal values.

    Returns:
      The mean and its interval.

    Raises:
      ValueError: if there is no value.

    Reference: Student, The probable error of a mean, 1908.

    >>> mean_interval([1.0, 2.0, 3.0]).mean
    2.0
    >>> mean_interval([0.5, 0.5]).half_width, mean_interval([0.5]).half_width
    (0.0, inf)
    """
    sample = np.asarray(list(values), float)
    if sample.size == 0:
        raise ValueError("no values were given; a mean needs at least one seed")
    is_constant = np.ptp(sample) == 0
    mean = float(sample[0]) if is_constant else float(sample.mean())
    if sample.size == 1:
        return MeanInterval(mean, -math.inf, math.inf, 1)
    from scipy.special import stdtrit  # heavy: loaded where it is used

    quantile = float(stdtrit(sample.size - 1, (1 + confidence) / 2))
    std = 0.0 if is_constant else float(sample.std(ddof=1))
    half_width = quantile * std / math.sqrt(sample.size)
    return MeanInterval(mean, mean - half_width, mean + half_width, sample.size)


def paired_interval(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = _CONFIDENCE
) -> MeanInterval | None:
    """Return the interval of the mean of `first − second` over the seeds that both have.

    One seed means one order of the data and one random draw for every configuration, so the
    variation that a seed brings to both cancels in the difference.

    Accuracies are counts, so a few differences are easily equal by chance: fewer than three
    differences that are equal and not zero leave the interval open.

    Args:
      first: value by seed of one candidate.
      second: value by seed of the other.
      confidence: share of such intervals that cover the expectation, for normal differences.

    Returns:
      The mean difference and its interval; None below two common seeds.

    >>> paired_interval({0: 0.75, 1: 1.5}, {0: 0.5, 1: 0.75, 2: 9.0}).mean
    0.5
    >>> paired_interval({0: 0.75, 1: 1.25}, {0: 0.5, 1: 1.0}).half_width
    inf
    >>> paired_interval({0: 0.75}, {0: 0.5}) is None
    True
    """
    seeds = sorted(first.keys() & second.keys())
    if len(seeds) < 2:
        return None
    left = np.array([first[seed] for seed in seeds], float)
    right = np.array([second[seed] for seed in seeds], float)
    differences = left - right
    rounding = FLOAT32_RESOLUTION * np.maximum(np.abs(left), np.abs(right))
    differences[np.abs(differences) <= rounding] = 0.0
    interval = mean_interval(differences, confidence)
    if interval.half_width == 0 and interval.mean != 0 and len(seeds) < _FEWEST_EQUAL_PAIRS:
        return MeanInterval(interval.mean, -math.inf, math.inf, interval.count)
    return interval
