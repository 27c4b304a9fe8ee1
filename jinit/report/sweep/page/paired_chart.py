"""Differences to the best candidate, paired by seed."""

from collections.abc import Sequence
from typing import Any

from jinit.report.page import Frame, chart_text
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.comparison import Comparison, FacetFinding, undecided
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.page.charts import NEUTRAL_COLOR, error_bars, label_axis, marker_trace
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.sweep.page.views import FacetView
from jinit.report.sweep.paired import paired_differences

_WORSE, _OPEN = "worse than the best", "cannot be distinguished from the best"


def pair_frame(sweep: SweepData, view: FacetView) -> Frame:
    """Return the paired differences to the leader, in percentage points for accuracies.

    Args:
      sweep: the sweep.
      view: the candidates that are shown.
    """
    finding, metric, known = view.finding, view.finding.metric, view.comparisons
    factor = 100.0 if metric.is_percentage else 1.0
    ties = {id(each) for each in undecided(finding.comparisons)}
    traces = _difference_points(sweep, finding, known, factor)
    for is_worse, name, symbol in ((True, _WORSE, "diamond"), (False, _OPEN, "diamond-open")):
        rows = [row for row, each in enumerate(known) if (id(each) not in ties) is is_worse]
        intervals = [each for row in rows if (each := known[row].difference)]
        means = [factor * each.mean for each in intervals]
        if rows:
            bounds = [(factor * each.low, factor * each.high) for each in intervals]
            mark = marker_trace(means, rows, symbol, name, color=NEUTRAL_COLOR)
            traces.append({**mark, "error_x": error_bars(means, bounds)})
    unit = " / percentage points" if metric.is_percentage else ""
    title = f"worse than {finding.leader.label} in {metric.title}{unit}"
    layout = {
        "xaxis": {
            "title": {"text": chart_text(title, 120)},
            "rangemode": "tozero",
            "zerolinewidth": 2,
        },
        "yaxis": label_axis([each.candidate.label for each in known]),
    }
    return Frame(view.name, traces, layout, view.sentence)


def _difference_points(
    sweep: SweepData, finding: FacetFinding, known: Sequence[Comparison], factor: float
) -> list[dict[str, Any]]:
    values, rows, colors = [], [], []
    leader = _merits(finding.leader, finding.metric)
    for row, comparison in enumerate(known):
        other = comparison.candidate
        look = sweep.looks.get(other.name)
        found = factor * paired_differences(leader, _merits(other, finding.metric))
        values += found.tolist()
        rows += [float(row)] * len(found)
        colors += [look.color if look else NEUTRAL_COLOR] * len(found)
    if not values:
        return []
    return [marker_trace(values, rows, "circle", "one seed", color=colors, opacity=0.65)]


def _merits(candidate: Candidate, metric: Metric) -> dict[int, float]:
    return {seed: metric.merit(value) for seed, value in candidate.metric_by_seed.items()}
