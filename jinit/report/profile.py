"""A mean over seeds along a curve, with its band."""

import math
from dataclasses import dataclass

import numpy as np

from jinit.report.statistics import mean_interval


@dataclass(frozen=True)
class Profile:
    """A mean over seeds along a curve, and its 95 % band; NaN where no seed has a number.

    >>> Profile(np.array([1.0]), np.array([0.5]), np.array([2.0])).mean.tolist()
    [1.0]
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def profile(lines: np.ndarray, *, logarithmic: bool) -> Profile:
    """Mean and 95 % band down each column: of the logarithms where the axis is logarithmic.

    Args:
        lines: one row per seed; what is not finite is left out, on a logarithmic axis also what is
            not positive.
        logarithmic: whether to average logarithms, which gives the geometric mean.

    Where half of the seeds or more are not finite there is no mean.

    >>> profile(np.array([[1.0, np.nan], [4.0, 3.0]]), logarithmic=True).mean.round(6).tolist()
    [2.0, nan]
    """
    usable = np.isfinite(lines) & ((lines > 0) | (not logarithmic))
    columns = [line[kept] for line, kept in zip(lines.T, usable.T, strict=True)]
    scaled = [np.log(each) if logarithmic else each for each in columns]
    intervals = [mean_interval(each) if each.size else None for each in scaled]
    # Once half of the seeds have diverged, a mean would describe the survivors only.
    kept = np.isfinite(lines).sum(axis=0) * 2 > len(lines)
    intervals = [each if enough else None for each, enough in zip(intervals, kept, strict=True)]
    table = np.array(
        [(i.mean, *_finite(i.low, i.high, i.mean)) if i else (math.nan,) * 3 for i in intervals]
    ).reshape(-1, 3)
    return Profile(*(np.exp(table) if logarithmic else table).T)


def _finite(low: float, high: float, mean: float) -> tuple[float, float]:
    """The band of a single seed is the seed's own line: its spread is unknown."""
    return (low, high) if math.isfinite(low) else (mean, mean)
