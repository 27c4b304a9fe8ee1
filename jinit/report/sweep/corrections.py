"""Corrections of p-values for the number of comparisons, and for the choice of the leader."""

from collections.abc import Sequence

import numpy as np

FAMILY_ERROR = 0.05
"""Greatest probability that any of the candidates called worse than the leader is not worse."""


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's method.

    If those of at most 0.05 are rejected, the probability of any false rejection is at most 0.05,
    however the tests depend on each other.

    Args:
      p_values: p-values of comparisons that were fixed in advance.

    Reference: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal
    of Statistics 6, 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, float)
    order = np.argsort(values, kind="stable")
    factors = np.arange(values.size, 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected.tolist()


def leader_corrected(p_values: Sequence[float]) -> list[float]:
    """Return p-values of comparisons with the leader, corrected also for the choice of the leader.

    The leader has the best mean of k candidates, so the comparisons were not fixed in advance.
    Holm's p-values are therefore multiplied by k / 2: each of the k candidates could have led, and
    would then have been tested on one side, which halves a two-sided p-value. The probability that
    any candidate with a corrected value of at most 0.05 is as good as the leader is at most
    k · 0.05 / k, whatever the variances and correlations of the candidates. With two candidates
    nothing changes.

    Hsu's comparisons with the best are not used: they assume equal variances, which a candidate
    that diverges has not, and they do not count a candidate that ties with the best as an error.

    Args:
      p_values: two-sided p-values of the k − 1 comparisons with the leader.

    Reference: Hsu, Multiple comparisons: theory and methods, 1996, chapter 4.

    >>> leader_corrected([0.01]), leader_corrected([0.01, 0.01])
    ([0.01], [0.03, 0.03])
    """
    candidates = len(p_values) + 1
    return [min(1.0, value * candidates / 2) for value in holm(p_values)]


def leader_discovery(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for the false discovery rate, and for the choice of the leader.

    Those of Benjamini and Hochberg, multiplied by k / 2 as in `leader_corrected`. Of the candidates
    with a value of at most 0.05, at most 5 % are expected to be as good as the leader, if their
    tests depend positively on each other.

    Args:
      p_values: two-sided p-values of the k − 1 comparisons with the leader.

    Reference: Benjamini and Hochberg, Controlling the false discovery rate, Journal of the Royal
    Statistical Society B 57, 1995.

    >>> leader_discovery([0.01]), leader_discovery([0.01, 0.02])
    ([0.01], [0.03, 0.03])
    """
    if not p_values:
        return []
    from scipy.stats import false_discovery_control  # heavy: loaded where it is used

    candidates = len(p_values) + 1
    corrected = false_discovery_control(np.asarray(p_values, float))
    return [min(1.0, float(value) * candidates / 2) for value in corrected]
