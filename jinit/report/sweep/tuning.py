"""The choice of the tuned values of a competitor, by the validation loss.

Of all configurations of a competitor, the one with the best mean over seeds represents it. A
diverged run counts as the worst of its facet. Configurations of which more seeds have finished come
first, since one lucky seed says little.

The choice uses the runs that are compared afterwards, so their mean is too good by a little: it is
the best of some noisy means. A comparison stays fair where every competitor has equally many
configurations to choose from: false claims then become rarer. If one of two equal competitors
chooses among four and the other has one, 7 to 8 % of sweeps of 4 to 16 seeds claim a false best.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from jinit.report.sweep.candidate import RecordRow
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outcome import has_diverged
from jinit.report.sweep.outline import Outline

DEFAULT_SELECTION = "validation_loss"
"""The column by which values are chosen, where it is recorded and the outline names no other."""


def selection_metric(rows: Iterable[RecordRow], outline: Outline) -> Metric:
    """Return the column by which tuned values are chosen.

    Args:
      rows: the records.
      outline: the outline of the sweep.

    >>> axes = {"init": ["zeros"]}
    >>> outline = Outline("digits", Metric("validation_accuracy"), axes, ("init",), (0,), 1)
    >>> selection_metric([{"validation_loss": 0.5}], outline).name
    'validation_loss'
    >>> selection_metric([{"validation_accuracy": 0.5}], outline).name
    'validation_accuracy'
    """
    if outline.selection is not None:
        return outline.selection
    if outline.metric.name == DEFAULT_SELECTION:
        return outline.metric
    default = Metric(DEFAULT_SELECTION)
    is_recorded = any(not has_diverged(row, default) for row in rows)
    return default if is_recorded else outline.metric


def best_rows(
    groups: Sequence[tuple[RecordRow, ...]], selection: Metric, worst: float
) -> tuple[RecordRow, ...]:
    """Return the records of the best configuration of one competitor.

    Args:
      groups: the records of each configuration, at least one.
      selection: the column by which configurations are compared.
      worst: its value for a diverged run.

    >>> rows = [({"lr": lr, "validation_loss": loss},) for lr, loss in ((0.1, 0.5), (1.0, 0.2))]
    >>> best_rows(rows, Metric("validation_loss"), worst=2.3)
    ({'lr': 1.0, 'validation_loss': 0.2},)
    """
    return min(groups, key=lambda rows: _rank(rows, selection, worst))


def _rank(rows: Sequence[RecordRow], selection: Metric, worst: float) -> tuple[int, bool, float]:
    """Return the sort key of a configuration; the best has the smallest."""
    values = [worst if has_diverged(row, selection) else row[selection.name] for row in rows]
    mean = float(np.mean(values))
    return -len(rows), math.isnan(mean), -selection.merit(mean)
