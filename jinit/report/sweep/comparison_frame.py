"""Every competitor of every facet compared with the leader, as rows for a data frame."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from jinit.report.sweep.bootstrap import best_probabilities, bootstrap_interval
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.comparison import FacetFinding, compare_candidates
from jinit.report.sweep.corrections import leader_corrected, leader_discovery
from jinit.report.sweep.effect_size import paired_cohens_d, paired_hedges_g
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outline import Outline
from jinit.report.sweep.paired import paired_differences, paired_p_value

Row = dict[str, Any]

_COLUMNS = (
    *("candidate", "runs", "diverged", "is_leader", "is_clear", "is_worse"),
    *("mean", "median", "low", "high", "bootstrap_low", "bootstrap_high", "best_probability"),
    *("pairs", "difference", "difference_low", "difference_high", "cohens_d", "hedges_g"),
    *("p_t", "p_t_corrected", "p_t_false_discovery", "p_wilcoxon", "p_wilcoxon_corrected"),
)


def comparison_columns(outline: Outline) -> list[str]:
    """Return the columns of the frame: the axes of the facets, the others, and the numbers.

    Args:
      outline: the outline of the sweep.

    >>> axes = {"init": ["zeros"], "depth": [2]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init",), (0,), total_lanes=1)
    >>> comparison_columns(outline)[:3]
    ['depth', 'init', 'candidate']
    """
    return [*outline.facet_axes, *outline.compare, *outline.tune, *_COLUMNS]


def comparison_rows(facets: Sequence[Facet], metric: Metric) -> list[Row]:
    """Return one row per competitor, best first in every facet.

    Args:
      facets: the facets of the sweep.
      metric: the metric by which competitors are compared.

    Returns:
      Rows with the columns of `Results.comparison`.

    >>> def candidate(name, *values):
    ...     return Candidate({"init": name}, name, (), dict(enumerate(values)), ())
    >>> facet = Facet({}, "", (candidate("a", 0.9, 0.8, 0.9), candidate("b", 0.2, 0.1, 0.1)))
    >>> [row["is_worse"] for row in comparison_rows([facet], Metric("validation_accuracy"))]
    [False, True]
    """
    return [row for facet in facets for row in _facet_rows(facet, metric)]


def _facet_rows(facet: Facet, metric: Metric) -> list[Row]:
    finding = compare_candidates(facet, metric)
    chances = _best_probabilities(facet.candidates, metric)
    alone = {"is_leader": True, "is_clear": finding.is_clear, "is_worse": False}
    rows = [alone, *_pair_rows(finding)]
    return [
        facet.config | _sample_columns(candidate) | {"best_probability": chance} | row
        for candidate, chance, row in zip(facet.candidates, chances, rows, strict=True)
    ]


def _pair_rows(finding: FacetFinding) -> list[Row]:
    """Return the columns of the comparison with the leader, one row per other candidate."""
    comparisons, metric = finding.comparisons, finding.metric
    rows = [_pair_columns(finding.leader, each.candidate, metric) for each in comparisons]
    for row, each in zip(rows, comparisons, strict=True):
        interval = each.difference
        row["difference_low"] = interval.low if interval else math.nan
        row["difference_high"] = interval.high if interval else math.nan
        row["p_t"] = paired_p_value(interval)
        row |= {"p_t_corrected": each.corrected_p, "is_leader": False, "is_clear": False}
        row["is_worse"] = each.is_worse
    _add_column(rows, "p_wilcoxon_corrected", leader_corrected([r["p_wilcoxon"] for r in rows]))
    _add_column(rows, "p_t_false_discovery", leader_discovery([r["p_t"] for r in rows]))
    return rows


def _add_column(rows: Sequence[Row], name: str, values: Sequence[float]) -> None:
    for row, value in zip(rows, values, strict=True):
        row[name] = value


def _sample_columns(candidate: Candidate) -> Row:
    values = list(candidate.metric_by_seed.values())
    bootstrap_low, bootstrap_high = bootstrap_interval(values)
    return candidate.config | {
        "candidate": candidate.label,
        "runs": len(values),
        "diverged": len(candidate.diverged_seeds),
        "mean": candidate.interval.mean,
        "median": float(np.median(values)),
        "low": candidate.interval.low,
        "high": candidate.interval.high,
        "bootstrap_low": bootstrap_low,
        "bootstrap_high": bootstrap_high,
    }


def _pair_columns(leader: Candidate, other: Candidate, metric: Metric) -> Row:
    """Return the difference of the merits, its size and its p-values without correction."""
    seeds = sorted(leader.metric_by_seed.keys() & other.metric_by_seed.keys())
    first, second = (_merits(candidate, seeds, metric) for candidate in (leader, other))
    differences = paired_differences(
        dict(zip(seeds, first, strict=True)), dict(zip(seeds, second, strict=True))
    )
    return {
        "pairs": len(seeds),
        "difference": float(differences.mean()) if seeds else math.nan,
        "cohens_d": paired_cohens_d(differences),
        "hedges_g": paired_hedges_g(first, second),
        "p_wilcoxon": wilcoxon_p_value(differences),
    }


def _merits(candidate: Candidate, seeds: Sequence[int], metric: Metric) -> np.ndarray:
    return np.array([metric.merit(candidate.metric_by_seed[seed]) for seed in seeds])


def wilcoxon_p_value(differences: np.ndarray) -> float:
    """Return the two-sided p-value of Wilcoxon's signed rank test; 1 without a difference.

    With n seeds it is at least 2 / 2ⁿ, so that four seeds cannot give less than 0.125.

    Args:
      differences: paired differences, array `[seeds]`.

    Reference: Wilcoxon, Individual comparisons by ranking methods, 1945.

    >>> wilcoxon_p_value(np.array([1.0, 2.0, 3.0, 4.0]))
    0.125
    """
    if not np.isfinite(differences).all() or not differences.any():
        return 1.0
    from scipy import stats  # heavy: loaded where it is used

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few pairs with ties: the exact distribution is a guess
        return float(stats.wilcoxon(differences)[1])  # pyright: ignore[reportArgumentType]


def _best_probabilities(candidates: Sequence[Candidate], metric: Metric) -> list[float]:
    """Return the probabilities over the seeds that all candidates with two runs have."""
    enough = [each for each in candidates if len(each.metric_by_seed) > 1]
    seeds = sorted(set.intersection(*(set(each.metric_by_seed) for each in enough or candidates)))
    if not seeds or not enough:
        return [math.nan] * len(candidates)
    merits = np.array([_merits(each, seeds, metric) for each in enough])
    found = dict(zip(map(id, enough), best_probabilities(merits).tolist(), strict=True))
    return [found.get(id(each), math.nan) for each in candidates]
