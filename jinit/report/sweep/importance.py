"""How much of the variance of the metric each axis explains: functional analysis of variance.

The values are means over seeds, one per configuration. A diverged run counts as the worst, and
positive losses count by their logarithms, so that one exploding loss does not hide all others.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jinit.report.sweep.facets import group_by_axes
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outcome import diverged_value, has_diverged
from jinit.report.sweep.outline import Outline, canonical_value

_Row = Mapping[str, Any]

IMPORTANCE_COLUMNS: tuple[str, ...] = ("axis", "values", "share", "interaction_share")
# Numbers of a random search with more values than this are sorted into as many equal groups.
_GROUPS = 4
_SMALLEST_VARIANCE = 1e-20


def importance_rows(rows: Sequence[_Row], outline: Outline) -> list[dict[str, Any]]:
    """Return the shares of the variance over configurations, the most important axis first.

    On a full grid, `share` is Var(E[Y | axis]) / Var(Y), what the axis explains by itself. With
    `interaction_share`, what it explains only together with others, it sums to
    1 − Var(E[Y | all others]) / Var(Y). They are the first-order index of Sobol and the rest of his
    total index. Elsewhere, `share` is what a sum of effects explains worse without the axis, less
    what chance explains (ε²), and the other is NaN. The row `seed` has the share of the variance
    that is due to the few seeds of each mean.

    Args:
      rows: the records.
      outline: the outline of the sweep.

    Returns:
      Rows with the columns of `Results.importance`.

    Reference: Hutter, Hoos and Leyton-Brown, An efficient approach for assessing hyperparameter
    importance, ICML 2014; Kelley, An unbiased correlation ratio measure, PNAS 21, 1935.

    >>> axes = {"init": ["a", "b"], "lr": [0.1, 1.0]}
    >>> outline = Outline("digits", Metric("accuracy"), axes, ("init",), (0,), 4, ("lr",))
    >>> values = {("a", 0.1): 0.9, ("a", 1.0): 0.8, ("b", 0.1): 0.7, ("b", 1.0): 0.6}
    >>> rows = [{"init": i, "lr": lr, "seed": 0, "accuracy": v} for (i, lr), v in values.items()]
    >>> [round(row["share"], 3) for row in importance_rows(rows, outline)[:2]]
    [0.8, 0.2]
    """
    configs = group_by_axes(rows, outline.axes)
    samples = _config_values(configs, outline.metric)
    means = np.array([sample.mean() for sample in samples])
    levels = {axis: _levels([config[0] for config in configs], axis) for axis in outline.axes}
    levels = {axis: found for axis, found in levels.items() if len(set(found)) > 1}
    is_grid = math.prod(len(set(found)) for found in levels.values()) == len(configs)
    shares = _grid_shares if is_grid else _sample_shares
    found = [
        dict(zip(IMPORTANCE_COLUMNS, (axis, len(set(levels[axis])), *values), strict=True))
        for axis, values in shares(means, levels).items()
    ]
    found.sort(key=lambda row: -np.nansum([row["share"], row["interaction_share"]]))
    noise = dict(zip(IMPORTANCE_COLUMNS, _seed_row(samples, means), strict=True))
    return [*found, noise]


def _config_values(configs: Sequence[Sequence[_Row]], metric: Metric) -> list[np.ndarray]:
    """Return the metric over the seeds of every configuration, losses by their logarithms."""
    rows = list(itertools.chain.from_iterable(configs))
    worst = diverged_value(rows, metric)
    samples = [
        np.array([worst if has_diverged(row, metric) else row[metric.name] for row in config])
        for config in configs
    ]
    is_loss = not metric.larger_is_better and all((sample > 0).all() for sample in samples)
    return [np.log(sample) for sample in samples] if is_loss else samples


def _levels(configs: Sequence[_Row], axis: str) -> list[Any]:
    return [canonical_value(config.get(axis)) for config in configs]


def _grid_shares(
    means: np.ndarray, levels: Mapping[str, list[Any]]
) -> dict[str, tuple[float, float]]:
    total = _squares(means)
    shares = {}
    for axis, own in levels.items():
        others = [found for other, found in levels.items() if other != axis]
        rest = list(zip(*others, strict=True)) if others else [()] * len(means)
        alone = _squares(_group_means(means, own))
        together = total - _squares(_group_means(means, rest))
        shares[axis] = (_share(alone, total), _share(together - alone, total))
    return shares


def _sample_shares(
    means: np.ndarray, levels: Mapping[str, list[Any]]
) -> dict[str, tuple[float, float]]:
    """Return what a model of sums of effects loses without each axis, less what chance explains.

    It is (SS_residual without the axis − SS_residual − df · MS_residual) / SS_total, at least 0.
    """
    columns = {axis: _indicators(_group_numbers(own)) for axis, own in levels.items()}
    total, (residual, rank) = _squares(means), _fit(means, list(columns.values()))
    freedom = len(means) - rank
    error = residual / freedom if freedom else math.nan
    shares = {}
    for axis in columns:
        without, smaller = _fit(means, [each for other, each in columns.items() if other != axis])
        explained = without - residual - (rank - smaller) * error
        shares[axis] = (max(0.0, _share(explained, total)), math.nan)
    return shares


def _indicators(levels: Sequence[Any]) -> np.ndarray:
    distinct = list(dict.fromkeys(levels))
    return np.array([[level == each for each in distinct] for level in levels], float)


def _fit(means: np.ndarray, columns: Sequence[np.ndarray]) -> tuple[float, int]:
    """Return the residual sum of squares of a least-squares fit, and the rank of its design."""
    design = np.hstack([np.ones((len(means), 1)), *columns])
    solution, _, rank, _ = np.linalg.lstsq(design, means, rcond=None)
    return float(((means - design @ solution) ** 2).sum()), int(rank)


def _group_numbers(values: list[Any]) -> list[Any]:
    """Return equally large groups in place of many different numbers."""
    numbers = [value for value in values if isinstance(value, float)]
    if len(set(numbers)) <= _GROUPS or len(numbers) < len(values):
        return values
    edges = np.quantile(numbers, np.arange(1, _GROUPS) / _GROUPS)
    return np.searchsorted(edges, numbers).tolist()


def _group_means(means: np.ndarray, levels: Sequence[Any]) -> np.ndarray:
    """Return for every configuration the mean of those with the same level."""
    members: dict[Any, list[int]] = {}
    for index, level in enumerate(levels):
        members.setdefault(level, []).append(index)
    result = np.empty_like(means)
    for indices in members.values():
        result[indices] = means[indices].mean()
    return result


def _squares(values: np.ndarray) -> float:
    return float(((values - values.mean()) ** 2).sum())


def _share(part: float, total: float) -> float:
    """Return the share; NaN where all values are equal but for rounding."""
    return part / total if total > _SMALLEST_VARIANCE else math.nan


def _seed_row(samples: Sequence[np.ndarray], means: np.ndarray) -> tuple[str, int, float, float]:
    """Return the share of the variance that the spread over seeds leaves in the means."""
    spreads = [sample.var(ddof=1) / sample.size for sample in samples if sample.size > 1]
    noise = float(np.mean(spreads)) * len(means) if spreads else math.nan
    return "seed", max(map(len, samples)), _share(noise, _squares(means)), math.nan
