"""A phase diagram as a page: measured, beside theory, with the network's own point."""

import math
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from jinit.report.diagnosis.phase_figure import MAX_LABELED_CELLS, PHASE_COLORS, phase_titles
from jinit.report.page import (
    LEGEND_ABOVE,
    Chart,
    DataTable,
    Headline,
    Paragraphs,
    Section,
    TableColumn,
    chart_array,
    chart_text,
    check_page_path,
    write_page,
)
from jinit.report.text import compact_text

_ORDERED_COLOR, _CRITICAL_COLOR, _CHAOTIC_COLOR = "#0072B2", "#F3F0E6", "#D55E00"
_LINE_COLOR = "#8B3FA0"
_OWN = "The initialization of this network"
_MOST_LOG_CHI = math.log(4)
"""Logarithm of χ from which on the color stays the same."""
_LEGEND = (
    "χ is the growth of the squared gradient per layer, backward. Below 1, the ordered phase, "
    "gradients vanish and all inputs become equal. Above 1, the chaotic phase, gradients explode "
    "and similar inputs become unrelated. Deep networks train near χ = 1, shallow ones "
    "also at some distance from it. Theory is that of infinite width and depth."
)


def phase_report(data: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the page of a phase diagram: one HTML file that needs no network.

    Args:
      data: plain data from `PhaseDiagram.to_dict()`.
      path: the file to write, whose name ends in .html.

    Returns:
      The path.

    Raises:
      MissingExtraError: if Jinja is not installed.
      ValueError: if the name of the file ends otherwise, or it cannot be written.

    >>> phase_report({}, "phases.pdf")
    Traceback (most recent call last):
    ValueError: cannot write phases.pdf: expected a name that ends in .html, such as phases.html
    """
    check_page_path(path)
    theory = np.array(data["theory_chi"], float)
    charts = [_phase_chart("Measured", data, np.array(data["chi"], float))]
    if np.isfinite(theory).any():
        charts.append(_phase_chart("Theory of wide, deep networks", data, theory))
    return write_page(
        path,
        "Phase diagram of a network",
        [
            Section("Answer", [_headline(data), Paragraphs([_LEGEND])]),
            Section("Diagram", charts),
            Section("Critical line", [_critical_table(data, theory)]),
        ],
    )


def _headline(data: Mapping[str, Any]) -> Headline:
    own = data.get("own")
    counts = {name: sum(row.count(name) for row in data["phase"]) for name in PHASE_COLORS}
    cells = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    details = [f"Cells of the diagram: {cells}."]
    if not own:
        return Headline("Where this network is ordered, critical or chaotic", details)
    place = f"σ_w = {compact_text(own['sigma_w'], 3)} and σ_b = {compact_text(own['sigma_b'], 3)}"
    nearest = _nearest_cell(data, own)
    if nearest is None:
        return Headline(f"{_OWN}, {place}, is outside of this diagram", details)
    row, column = nearest
    phase, chi = data["phase"][row][column], data["chi"][row][column]
    chi_text = "" if chi is None else f": χ = {compact_text(chi, 3)} in the nearest cell"
    tone = "good" if phase == "critical" else "neutral"
    return Headline(f"{_OWN}, {place}, is {phase}{chi_text}", details, tone)


def _nearest_cell(data: Mapping[str, Any], own: Mapping[str, float]) -> tuple[int, int] | None:
    """Return the cell nearest to the network's own point; None if it is outside of all cells."""
    places = []
    for scales, value in ((data["sigma_w"], own["sigma_w"]), (data["sigma_b"], own["sigma_b"])):
        distances = [abs(scale - value) for scale in scales]
        steps = [abs(b - a) for a, b in pairwise(scales)]
        nearest = int(np.argmin(distances))
        if distances[nearest] > max(steps, default=math.inf):
            return None
        places.append(nearest)
    return places[0], places[1]


def _phase_chart(name: str, data: Mapping[str, Any], chi: np.ndarray) -> Chart:
    titles = phase_titles(data)
    columns, rows = data["depths"] or data["sigma_b"], data["sigma_w"]
    with np.errstate(divide="ignore"):
        logs = np.log(chi)
    texts = [
        [
            f"χ = {compact_text(value, 3)}, measured phase: {chart_text(phase)}"
            for value, phase in zip(*both, strict=True)
        ]
        for both in zip(chi.tolist(), data["phase"], strict=True)
    ]
    traces: list[dict[str, Any]] = [_color_map(columns, rows, chi, logs, texts)]
    traces += _critical_line(columns, rows, np.array(data["theory_chi"], float))
    traces += _own_point(data)
    layout = {
        "xaxis": {"title": {"text": titles.columns}, "zeroline": False},
        "yaxis": {"title": {"text": titles.rows}, "zeroline": False},
        "legend": LEGEND_ABOVE,
    }
    return Chart(f"{name}. {titles.cells}", traces, layout, 460)


def _color_map(
    columns: Sequence[float],
    rows: Sequence[float],
    chi: np.ndarray,
    logs: np.ndarray,
    texts: Sequence[Sequence[str]],
) -> dict[str, Any]:
    ticks = [0.25, 0.5, 1, 2, 4]
    trace = {
        "type": "heatmap",
        "x": chart_array(np.array(columns, float)),
        "y": chart_array(np.array(rows, float)),
        "z": chart_array(np.clip(logs, -_MOST_LOG_CHI, _MOST_LOG_CHI)),
        "zmin": -_MOST_LOG_CHI,
        "zmax": _MOST_LOG_CHI,
        "colorscale": [[0, _ORDERED_COLOR], [0.5, _CRITICAL_COLOR], [1, _CHAOTIC_COLOR]],
        "colorbar": {
            "title": {"text": "χ"},
            "tickvals": [math.log(tick) for tick in ticks],
            "ticktext": ["≤ ¼", "½", "1", "2", "≥ 4"],
            "thickness": 14,
        },
        "hovertext": texts,
        "hoverinfo": "text",
        "xgap": 1,
        "ygap": 1,
    }
    if chi.size > MAX_LABELED_CELLS:
        return trace
    labels = [["" if math.isnan(each) else f"{each:.2f}" for each in row] for row in chi]
    return trace | {"text": labels, "texttemplate": "%{text}"}


def _critical_line(
    columns: Sequence[float], rows: Sequence[float], theory: np.ndarray
) -> list[dict[str, Any]]:
    """Return the line on which theory finds χ = 1; none where it has no value on either side."""
    points = [(x, _crossing(rows, theory[:, n])) for n, x in enumerate(columns)]
    points = [(x, y) for x, y in points if y is not None]
    if not points:
        return []
    x, y = zip(*points, strict=True)
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "critical line of theory, χ = 1",
            "x": chart_array(np.array(x, float)),
            "y": chart_array(np.array(y, float)),
            "line": {"color": _LINE_COLOR, "width": 2.5, "dash": "dash"},
            "marker": {"color": _LINE_COLOR, "size": 6},
        }
    ]


def _own_point(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    own = data.get("own")
    if not own or data["depths"]:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "initialization of this network",
            "x": chart_array([own["sigma_b"]]),
            "y": chart_array([own["sigma_w"]]),
            "marker": {
                "symbol": "star",
                "size": 18,
                "color": "#CC79A7",
                "line": {"color": "#000000", "width": 1.5},
            },
        }
    ]


def _critical_table(data: Mapping[str, Any], theory: np.ndarray) -> DataTable:
    """Return the scale of the weights at which χ is 1, for each column of the diagram."""
    name = "depth" if data["depths"] else "σ_b"
    heads = [
        TableColumn(name),
        TableColumn("measured σ_w", "scale of the weights at which the measured χ is 1"),
        TableColumn("theory's σ_w", "scale of the weights at which the χ of theory is 1"),
    ]
    measured, columns = np.array(data["chi"], float), data["depths"] or data["sigma_b"]
    rows = [
        [x, _crossing(data["sigma_w"], measured[:, n]), _crossing(data["sigma_w"], theory[:, n])]
        for n, x in enumerate(columns)
    ]
    return DataTable("Scale of the weights at which χ is 1, between two rows", heads, rows)


def _crossing(scales: Sequence[float], chi: np.ndarray) -> float | None:
    """Return the scale at which χ passes 1, by interpolation of its logarithm; None if it does not.

    >>> round(_crossing([1.0, 2.0], np.array([0.5, 2.0])), 3)
    1.5
    """
    with np.errstate(divide="ignore"):
        logs = np.log(chi)
    for (low, high), (before, after) in zip(pairwise(scales), pairwise(logs), strict=True):
        if before <= 0 < after or after <= 0 < before:
            return float(low + (high - low) * before / (before - after))
    return None
