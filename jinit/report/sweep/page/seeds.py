"""The metric of every seed with intervals, and differences paired by seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jinit.report.page import Frame, Section
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.page.charts import (
    NEUTRAL_COLOR,
    ROOM_FOR_LEGEND,
    choice_chart,
    error_bars,
    label_axis,
    marker_trace,
    value_axis,
)
from jinit.report.sweep.page.paired_chart import pair_frame
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.sweep.page.views import FacetView, facet_views

_ROW_HEIGHT, _MARGIN_HEIGHT = 28, 140


def seeds_section(sweep: SweepData) -> Section:
    """Return the metric of every seed, and the differences to the best candidate.

    Args:
      sweep: the sweep.
    """
    metric = sweep.outline.metric
    views = [view for finding in sweep.findings for view in facet_views(sweep, finding)]
    points = [_seed_frame(sweep, view) for view in views]
    pairs = [pair_frame(sweep, view) for view in views if view.finding.has_learned]
    height = _MARGIN_HEIGHT + _ROW_HEIGHT * max(len(view.shown) for view in views)
    caption = f"{metric.title[0].upper()}{metric.title[1:]} of every seed, best candidate first."
    lead = (
        "How much worse each candidate is than the best, paired by seed: the mean difference with "
        "its 95 % interval, and the difference of every seed."
    )
    control = sweep.facet_control if len(sweep.facets) > 1 else "candidates"
    return Section(
        "Seeds and paired differences",
        [
            *choice_chart(caption, control, points, ROOM_FOR_LEGEND, height),
            *choice_chart(lead, control, pairs, ROOM_FOR_LEGEND, height),
        ],
    )


def _seed_frame(sweep: SweepData, view: FacetView) -> Frame:
    metric, candidates = view.finding.metric, view.shown
    values = [value for each in candidates for value in each.metric_by_seed.values()]
    if not np.isfinite(values).any():
        return Frame(view.name, [], {})
    traces = [*_point_traces(sweep, candidates), *_interval_traces(candidates, metric)]
    if view.is_complete:
        traces += _guess_traces(len(candidates), metric)
    labels = [candidate.label for candidate in candidates]
    layout = {"xaxis": value_axis(values, metric), "yaxis": label_axis(labels)}
    return Frame(view.name, traces, layout, view.sentence)


def _point_traces(sweep: SweepData, candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return a mark per seed, which is a cross if the run diverged."""
    found: dict[bool, list[tuple[float, float, str, str]]] = {False: [], True: []}
    for row, candidate in enumerate(candidates):
        look = sweep.looks.get(candidate.name)
        color = look.color if look else NEUTRAL_COLOR
        for seed, value in candidate.metric_by_seed.items():
            point = (value, float(row), color, f"seed {seed}")
            found[seed in candidate.diverged_seeds].append(point)
    names = {False: "one seed", True: "a seed that diverged"}
    traces = []
    for diverged, points in found.items():
        if points:
            values, rows, colors, texts = map(list, zip(*points, strict=True))
            symbol = "x-thin-open" if diverged else "circle"
            mark = marker_trace(values, rows, symbol, names[diverged], color=colors, opacity=0.65)
            hover = "%{text}: %{x:.4g}<extra></extra>"
            traces.append({**mark, "text": texts, "hovertemplate": hover})
    return traces


def _interval_traces(candidates: Sequence[Candidate], metric: Metric) -> list[dict[str, Any]]:
    """Return the means; with their intervals, or with ranges where intervals say little."""
    intervals = [candidate.interval for candidate in candidates]
    has_interval = [metric.has_interval(interval) for interval in intervals]
    traces = []
    for kind, name in ((True, "mean, 95 % interval"), (False, "mean, lowest to highest seed")):
        rows = [row for row, each in enumerate(has_interval) if each is kind]
        bounds = [_bounds(candidates[row], has_interval=kind) for row in rows]
        if rows:
            means = [intervals[row].mean for row in rows]
            mark = marker_trace(means, rows, "diamond", name, color=NEUTRAL_COLOR, opacity=1.0)
            traces.append({**mark, "error_x": error_bars(means, bounds)})
    return traces


def _bounds(candidate: Candidate, *, has_interval: bool) -> tuple[float, float]:
    if has_interval:
        return candidate.interval.low, candidate.interval.high
    values = list(candidate.metric_by_seed.values())
    return min(values), max(values)


def _guess_traces(count: int, metric: Metric) -> list[dict[str, Any]]:
    if metric.chance is None:
        return []
    line = {"color": NEUTRAL_COLOR, "dash": "dot", "width": 1}
    mark = marker_trace([metric.chance] * 2, [-0.5, count - 0.5], "circle", "a guess")
    return [{**mark, "mode": "lines", "line": line}]
