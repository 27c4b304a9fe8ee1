"""Learning curves: means over seeds with their intervals."""

from collections.abc import Sequence

import numpy as np

from jinit.report.page import Frame, Section, log_axis
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.candidate_looks import drawn_candidates
from jinit.report.sweep.curve_data import (
    curve_column,
    curve_limits,
    curve_name,
    divergence_marks,
    guess_losses,
    split_guesses,
)
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.measures import seed_curves
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.page.charts import (
    choice_chart,
    marker_trace,
    mean_traces,
    metric_axis,
    step_axis,
)
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.sweep.profile import mean_profile
from jinit.report.text import join_names


def curves_section(sweep: SweepData) -> Section:
    """Return the learning curves of every facet and of every recorded metric.

    Args:
      sweep: the sweep.
    """
    candidates = sweep.drawn_candidates
    columns = _recorded_columns(candidates, sweep.outline.metric)
    limits = {name: curve_limits(candidates, name) for name in columns if "loss" in name}
    frames = [
        _curve_frame(sweep, facet, column, limits.get(column))
        for facet in sweep.facets
        for column in columns
    ]
    last = max((_last_step(candidate) for candidate in candidates), default=0.0)
    return Section(
        "Learning curves",
        choice_chart(_caption(sweep), sweep.curve_control, frames, {"xaxis": step_axis(last)}, 460),
    )


def _caption(sweep: SweepData) -> str:
    seeds = len(sweep.outline.seeds)
    mean = f"Mean of {seeds} seeds with its 95 % interval" if seeds > 1 else "One seed"
    drawn, total = len(sweep.looks), len({each.name for each in sweep.candidates})
    best = f" The best {drawn} of {total} candidates are drawn." if drawn < total else ""
    return f"{mean}; means of losses are geometric. A click on a name hides its curve.{best}"


def _recorded_columns(candidates: Sequence[Candidate], metric: Metric) -> list[str]:
    """Return the columns of curves with a value, the most telling one first."""
    rows = [row for candidate in candidates for row in candidate.records]
    names = (curve_column(candidates, metric), f"{metric.name}_curve", "validation_loss_curve")
    names = (*names, "validation_accuracy_curve", "train_loss_curve")
    return [name for name in dict.fromkeys(names) if any(row.get(name) for row in rows)]


def _last_step(candidate: Candidate) -> float:
    return max((row["step"][-1] for row in candidate.records if row.get("step")), default=0.0)


def _curve_frame(
    sweep: SweepData, facet: Facet, column: str, limits: tuple[float, float] | None
) -> Frame:
    candidates, traces, marks = drawn_candidates(facet, sweep.looks), [], []
    for candidate in candidates:
        curves, look = seed_curves(candidate, column), sweep.looks[candidate.name]
        profile = mean_profile(curves.lines, logarithmic=limits is not None)
        if np.isfinite(profile.mean).any():
            traces += mean_traces(curves.steps, profile, look, candidate.label, "step")
        if found := divergence_marks(candidate, curves, limits):
            steps, heights = zip(*found, strict=True)
            name = f"{candidate.label}: diverged"
            marks.append(marker_trace(steps, heights, "x", name, color=look.color))
    name = curve_name(column)
    axis = log_axis(*limits, name) if limits else metric_axis(Metric(name, larger_is_better=True))
    losses = guess_losses(candidates, sweep.outline.metric, column)
    return Frame(
        ": ".join(filter(None, [sweep.setting(facet), name])),
        [*traces, *({**mark, "showlegend": False} for mark in marks)],
        {"yaxis": axis},
        _sentence(losses, limits, has_marks=bool(marks)),
    )


def _sentence(
    losses: dict[str, float], limits: tuple[float, float] | None, *, has_marks: bool
) -> str:
    """Return what the curves do not show: guesses, losses above the chart, and crosses."""
    parts = []
    if limits is not None:
        guesses, above = split_guesses(losses, limits)
        parts += [f"No better than a guess: {join_names(guesses)}."] if guesses else []
        parts += [f"Above this range: {join_names(above)}."] if above else []
    if has_marks:
        parts.append("×: the last finite value of a run that diverged.")
    return " ".join(parts)
