"""Intervals and probabilities from resampled seeds, the same numbers in every call."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from jinit.report.sweep.intervals import CONFIDENCE

_RESAMPLES = 9_999
_DRAWS = 10_000
_SEED = 0
_FEWEST_SEEDS = 3


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean, bias-corrected and accelerated (BCa).

    It needs no normal values, but many seeds: for normal values it covers the expectation in 79 %
    of samples of 4, 89 % of 8, 92 % of 16 and 94 % of 32, where Student's interval covers 95 %.

    Args:
      values: independent values, one per seed.

    Returns:
      Lower and upper end; NaN below two values, and the value itself if all are equal.

    Reference: Efron, Better bootstrap confidence intervals, JASA 82, 1987.

    >>> bootstrap_interval([0.5, 0.5, 0.5])
    (0.5, 0.5)
    >>> low, high = bootstrap_interval([0.1, 0.2, 0.3, 0.4])
    >>> 0.1 < low < 0.25 < high < 0.4
    True
    """
    sample = np.asarray(values, float)
    if sample.size < 2 or not np.isfinite(sample).all():
        return math.nan, math.nan
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    for method in ("BCa", "percentile"):  # BCa has no answer for some samples of two or three
        low, high = _resampled_interval(sample, method)
        if math.isfinite(low) and math.isfinite(high):
            break
    return low, high


def _resampled_interval(sample: np.ndarray, method: str) -> tuple[float, float]:
    from scipy import stats  # heavy: loaded where it is used

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (sample,),
            np.mean,
            n_resamples=_RESAMPLES,
            confidence_level=CONFIDENCE,
            method=method,
            rng=np.random.default_rng(_SEED),
        )
    low, high = found.confidence_interval
    return float(low), float(high)


def best_probabilities(merits: np.ndarray) -> np.ndarray:
    """Return the probability of every candidate that it has the best expectation.

    The Bayesian bootstrap weights the seeds at random, all candidates by the same weights, and
    counts how often a candidate has the best weighted mean; ties are shared. The weights of n seeds
    have a Dirichlet distribution with parameters 1 − 2/n, so that the variance of a weighted mean
    is s²/n; with Rubin's parameters 1 it is smaller by (n − 1) / (n + 1).

    Few seeds leave the probabilities too near to 0 and 1: for two equal candidates, they are below
    0.05 or above 0.95 in 21 % of studies with 4 seeds, 14 % with 8 and 11 % with 16, not in 10 %.

    Args:
      merits: array `[candidates, seeds]`, more is better; NaN never is the best.

    Returns:
      Array `[candidates]` that sums to 1; NaN below three seeds.

    Reference: Rubin, The Bayesian bootstrap, Annals of Statistics 9, 1981.

    >>> best_probabilities(np.array([[0.9, 0.8, 0.9], [0.8, 0.7, 0.8], [0.1, 0.1, 0.1]])).tolist()
    [1.0, 0.0, 0.0]
    >>> best_probabilities(np.ones((2, 3))).tolist()
    [0.5, 0.5]
    """
    count = merits.shape[1]
    if count < _FEWEST_SEEDS:
        return np.full(len(merits), math.nan)
    known = np.where(np.isfinite(merits), merits, -np.finfo(float).max / count)
    weights = np.random.default_rng(_SEED).dirichlet(np.full(count, 1 - 2 / count), _DRAWS)
    means = weights @ known.T
    best = means.max(axis=1, keepdims=True)
    is_best = means >= best - 1e-12 * np.abs(best)
    return (is_best / is_best.sum(axis=1, keepdims=True)).mean(axis=0)
