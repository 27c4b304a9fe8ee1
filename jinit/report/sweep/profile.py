"""Means over seeds along a curve, with 95 % intervals."""

import math
from dataclasses import dataclass

import numpy as np

from jinit.report.sweep.intervals import mean_interval


@dataclass(frozen=True)
class MeanProfile:
    """Means over seeds along a curve and their 95 % intervals; NaN where there is no mean.

    Args:
      mean: array `[steps]`.
      low: lower ends of the intervals, array `[steps]`.
      high: upper ends of the intervals, array `[steps]`.

    >>> MeanProfile(np.array([1.0]), np.array([0.5]), np.array([2.0])).mean.tolist()
    [1.0]
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def mean_profile(lines: np.ndarray, *, logarithmic: bool) -> MeanProfile:
    """Return the mean and its 95 % interval at every step.

    There is no mean at a step where half of the seeds or more are not finite: it would describe
    the other seeds only.

    Args:
      lines: array `[seeds, steps]`; values that are not finite are left out, and with
        `logarithmic` also those that are not positive.
      logarithmic: average the logarithms, which gives the geometric mean.

    Returns:
      Means and intervals, one per step. The interval of a single seed is the value itself.

    >>> mean_profile(np.array([[1.0, np.nan], [4.0, 3.0]]), logarithmic=True).mean.round(6).tolist()
    [2.0, nan]
    """
    is_usable = np.isfinite(lines) & ((lines > 0) | (not logarithmic))
    has_mean = np.isfinite(lines).sum(axis=0) * 2 > len(lines)
    points = [
        _mean_and_bounds(np.log(column[usable]) if logarithmic else column[usable], enough)
        for column, usable, enough in zip(lines.T, is_usable.T, has_mean, strict=True)
    ]
    mean, low, high = np.array(points).reshape(-1, 3).T
    if logarithmic:
        with np.errstate(over="ignore"):  # a bound may be infinite
            mean, low, high = np.exp(mean), np.exp(low), np.exp(high)
    return MeanProfile(mean, low, high)


def _mean_and_bounds(values: np.ndarray, has_mean: bool) -> tuple[float, float, float]:
    if not values.size or not has_mean:
        return math.nan, math.nan, math.nan
    interval = mean_interval(values)
    if not math.isfinite(interval.low):
        return interval.mean, interval.mean, interval.mean
    return interval.mean, interval.low, interval.high
