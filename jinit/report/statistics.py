"""Means over seeds with Student t intervals, and paired comparisons by seed."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95
# Fewer equal differences than this decide nothing.
_FEWEST_EQUAL = 3
# Recorded metrics are computed in float32: a smaller difference of two of them is rounding.
_RESOLUTION = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Interval:
    """A mean of `count` values and the 95 % interval that covers its expectation.

    >>> Interval(mean=0.5, low=0.25, high=0.75, count=8).half
    0.25
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def half(self) -> float:
        """Half the width; infinite when a single value leaves the spread unknown."""
        return (self.high - self.low) / 2


def mean_interval(values: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean ± t · s / √n, with t the Student quantile of n − 1 degrees of freedom.

    Equal values give an interval of width zero; a single value gives an infinite one.

    Args:
        values: independent draws, one per seed.
        confidence: share of such intervals that cover the expectation, for normal draws.

    Raises:
        ValueError: if there is no value.

    Reference: Student, The probable error of a mean, 1908.

    >>> mean_interval([1.0, 2.0, 3.0]).mean
    2.0
    >>> mean_interval([0.5, 0.5]).half, mean_interval([0.5]).half
    (0.0, inf)
    """
    sample = np.asarray(list(values), float)
    if sample.size == 0:
        raise ValueError("no values were given; a mean needs at least one seed")
    mean = float(sample[0]) if np.ptp(sample) == 0 else float(sample.mean())
    if sample.size == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    quantile = float(stdtrit(sample.size - 1, (1 + confidence) / 2))
    spread = 0.0 if np.ptp(sample) == 0 else float(sample.std(ddof=1))
    half = quantile * spread / math.sqrt(sample.size)
    return Interval(mean, mean - half, mean + half, sample.size)


def paired_interval(
    ours: Mapping[int, float], theirs: Mapping[int, float], confidence: float = CONFIDENCE
) -> Interval | None:
    """Interval of the mean of `ours − theirs` over the seeds that both have; None below two seeds.

    One seed means one data order and one draw for every configuration, so the variation that a
    seed brings to both cancels in the difference.

    Args:
        ours: value by seed.
        theirs: value by seed of the other candidate.
        confidence: as in `mean_interval`.

    Accuracies are counts, so that a few differences are easily equal by chance: fewer than three
    equal ones that are not zero leave the interval open.

    >>> paired_interval({0: 0.75, 1: 1.5}, {0: 0.5, 1: 0.75, 2: 9.0}).mean
    0.5
    >>> paired_interval({0: 0.75, 1: 1.25}, {0: 0.5, 1: 1.0}).half
    inf
    >>> paired_interval({0: 0.75}, {0: 0.5}) is None
    True
    """
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return None
    left = np.array([ours[seed] for seed in seeds], float)
    right = np.array([theirs[seed] for seed in seeds], float)
    difference = left - right
    difference[np.abs(difference) <= _RESOLUTION * np.maximum(np.abs(left), np.abs(right))] = 0.0
    found = mean_interval(difference, confidence)
    if found.half == 0 and found.mean != 0 and len(seeds) < _FEWEST_EQUAL:
        return Interval(found.mean, -math.inf, math.inf, found.count)
    return found
