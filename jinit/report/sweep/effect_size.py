"""Sizes of paired differences in units of their standard deviations.

Reference: Lakens, Calculating and reporting effect sizes to facilitate cumulative science,
Frontiers in Psychology 4, 2013, equations 6 to 10.
"""

import math

import numpy as np


def paired_cohens_d(differences: np.ndarray) -> float:
    """Return Cohen's d_z: the mean of paired differences over their standard deviation.

    Args:
      differences: array `[seeds]`.

    Returns:
      The effect size; infinite for equal differences, NaN for fewer than two or all zero.

    >>> paired_cohens_d(np.array([1.0, 2.0, 3.0]))
    2.0
    """
    if len(differences) < 2:
        return math.nan
    spread = 0.0 if np.ptp(differences) == 0 else float(differences.std(ddof=1))
    return _quotient(float(differences.mean()), spread)


def paired_hedges_g(first: np.ndarray, second: np.ndarray) -> float:
    """Return Hedges' g_av: the mean difference over the average spread of the two candidates.

    It is J · mean(first − second) / √((s₁² + s₂²) / 2) with J = 1 − 3 / (8n − 9), which removes the
    bias of n pairs. Other than d_z, it does not grow if the seeds move both candidates together.

    Args:
      first: values of one candidate, array `[seeds]`.
      second: values of the other for the same seeds.

    Returns:
      The effect size; infinite without any spread, NaN for fewer than two seeds or equal values.

    >>> round(paired_hedges_g(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0])), 3)
    0.8
    """
    count = len(first)
    if count < 2:
        return math.nan
    spread = math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    correction = 1 - 3 / (8 * count - 9)
    return _quotient(correction * float(np.mean(first - second)), spread)


def _quotient(difference: float, spread: float) -> float:
    if spread > 0 or math.isnan(spread):
        return difference / spread
    return math.nan if difference == 0 else math.copysign(math.inf, difference)
