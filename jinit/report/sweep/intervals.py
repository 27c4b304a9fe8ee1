"""Means over seeds with Student t intervals."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

FEW_SEEDS = 4
"""Below this number of seeds the range of the values is shown in place of the interval."""

CONFIDENCE = 0.95
"""Share of intervals that cover the expectation."""

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


def mean_interval(
    values: Iterable[float], confidence: float = CONFIDENCE, rounding_variance: float = 0.0
) -> MeanInterval:
    """Return the mean ± t · s / √n, with t the Student quantile of n − 1 degrees of freedom.

    Equal values give an interval of width zero; a single value gives an infinite one.

    Args:
      values: independent values, one per seed.
      confidence: share of such intervals that cover the expectation, for normal values.
      rounding_variance: variance of the rounding of each value, added to that of the values.

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
    with np.errstate(over="ignore"):  # the variance of huge numbers is infinite
        variance = rounding_variance + (0.0 if is_constant else float(sample.var(ddof=1)))
    half_width = quantile * math.sqrt(variance / sample.size)
    return MeanInterval(mean, mean - half_width, mean + half_width, sample.size)
