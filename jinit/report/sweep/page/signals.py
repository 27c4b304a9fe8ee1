"""The size of layer outputs and of gradients, layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jinit.record import BY_STEP, LAYER_COLUMNS, MEASURED_COLUMN
from jinit.report.page import Frame, Section, log_axis
from jinit.report.page.blocks import PageBlock
from jinit.report.sweep.candidate import Candidate, RecordRow
from jinit.report.sweep.candidate_looks import drawn_candidates
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.measures import layer_values
from jinit.report.sweep.page.charts import choice_chart, marker_trace, mean_traces
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.sweep.profile import MeanProfile, mean_profile
from jinit.report.sweep.signal_data import is_zero_std, layer_ticks, signal_edges

_TITLES = {
    "activation_std": "std of layer outputs",
    "gradient_std": "std of gradients with respect to layer outputs",
}


def signals_section(sweep: SweepData) -> Section:
    """Return charts of outputs and gradients by layer, at step 0 and at later measured steps.

    Args:
      sweep: the sweep.
    """
    blocks = [block for column in _TITLES for block in _signal_chart(sweep, column)]
    return Section("Activations and gradients", blocks)


def _signal_chart(sweep: SweepData, column: str) -> Sequence[PageBlock]:
    steps = _measured_steps(sweep.drawn_candidates)
    frames = [_signal_frame(sweep, facet, column, step) for step in steps for facet in sweep.facets]
    title = _TITLES[column]
    when = " before the first step" if steps == [0] else ""
    caption = (
        f"{title[0].upper()}{title[1:]}{when}; outputs are those before the activation function. "
        "Geometric mean over seeds with its 95 % interval."
    )
    control = f"{sweep.facet_control}: step" if len(sweep.facets) > 1 else "step"
    return choice_chart(caption, control, frames, {})


def _measured_steps(candidates: Sequence[Candidate]) -> list[int]:
    rows = [row for candidate in candidates for row in candidate.records]
    first = [0] if any(row.get("activation_std") for row in rows) else []
    return sorted({*first, *(step for row in rows for step in row.get(MEASURED_COLUMN) or ())})


def _signal_frame(sweep: SweepData, facet: Facet, column: str, step: int) -> Frame:
    drawn = drawn_candidates(facet, sweep.looks)
    candidates = [candidate_at_step(each, step) for each in drawn]
    stds = [layer_values(each, column) for each in candidates]
    profiles = [mean_profile(lines, logarithmic=True) for lines in stds]
    low, high = edges = signal_edges(profiles)
    traces: list[dict[str, Any]] = []
    for candidate, lines, profile in zip(candidates, stds, profiles, strict=True):
        traces += _std_traces(sweep, candidate, lines, profile, edges) if lines.size else []
    ticks, names = layer_ticks(candidates)
    is_marked = any(trace["mode"] == "markers" for trace in traces)
    return Frame(
        ": ".join(filter(None, [sweep.setting(facet), f"step {step}"])),
        traces,
        {
            "xaxis": {
                "title": {"text": "layer"},
                "tickvals": ticks,
                "ticktext": names,
                "range": [0.7, max(ticks, default=1) + 0.3],
            },
            "yaxis": log_axis(low / 2, high * 2, _TITLES[column]),
        },
        "▽: zero; △: infinite, both drawn at the edge of the logarithmic axis." * is_marked,
    )


def candidate_at_step(candidate: Candidate, step: int) -> Candidate:
    """Return a candidate whose records have the statistics of layers of another step.

    Args:
      candidate: the candidate.
      step: 0, or a step at which layers were measured; a run that ended before it has none.

    >>> row = {"measured_at": [5], "activation_std": [1.0], "activation_std_by_step": [[2.0]]}
    >>> candidate_at_step(Candidate({}, "ones", (row,), {}, ()), 5).records[0]["activation_std"]
    [2.0]
    """
    if step == 0:
        return candidate
    return replace(candidate, records=tuple(_row_at_step(row, step) for row in candidate.records))


def _row_at_step(row: RecordRow, step: int) -> Mapping[str, Any]:
    measured = list(row.get(MEASURED_COLUMN) or ())
    if step not in measured:
        return {**row, **dict.fromkeys(LAYER_COLUMNS)}
    place = measured.index(step)
    lists = {name: row.get(f"{name}{BY_STEP}") for name in LAYER_COLUMNS}
    return {**row, **{name: each[place] if each else None for name, each in lists.items()}}


def _std_traces(
    sweep: SweepData,
    candidate: Candidate,
    lines: np.ndarray,
    profile: MeanProfile,
    edges: tuple[float, float],
) -> list[dict[str, Any]]:
    """Return the line of one candidate; zero and infinity are triangles at the edges."""
    layers, look = np.arange(1, lines.shape[1] + 1), sweep.looks[candidate.name]
    mean = np.where(is_zero_std(lines).all(axis=0), edges[0], profile.mean)
    mean = np.where(np.isinf(lines).any(axis=0), edges[1], mean)
    shown = MeanProfile(mean, profile.low, profile.high)
    traces = mean_traces(layers, shown, look, candidate.label, "layer")
    for symbol, height, is_outside, word in (
        ("triangle-down-open", edges[0], is_zero_std(lines), "zero"),
        ("triangle-up-open", edges[1], np.isinf(lines), "infinite"),
    ):
        outside = layers[is_outside.any(axis=0)].tolist()
        if outside:
            name, heights = f"{candidate.label}: {word}", [height] * len(outside)
            mark = marker_trace(outside, heights, symbol, name, color=look.color)
            traces.append({**mark, "showlegend": False})
    return traces
