"""The singular values of a network's Jacobian."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jinit.report.diagnosis.check import SPECTRUM_NUMBERS
from jinit.report.diagnosis.columns import number_text
from jinit.report.layer_traces import HEALTHY_COLOR, MEASURED_COLOR, LogRange
from jinit.report.page import Chart, PageBlock, Paragraphs, chart_array

_HOW = (
    "Not measured. jinit.diagnose(..., jacobian=True) or jinit diagnose --jacobian measures the "
    "singular values of the Jacobian of the outputs by the inputs."
)


def jacobian_blocks(data: Mapping[str, Any]) -> list[PageBlock]:
    """Return what is known of the Jacobian; how to measure it, if nothing is.

    Args:
      data: plain data from `Diagnosis.to_dict()`.
    """
    spectrum = data.get("jacobian")
    if not spectrum:
        return [Paragraphs([_HOW])]
    blocks: list[PageBlock] = [Paragraphs([_spectrum_sentence(spectrum)])]
    values = np.array(spectrum["singular_values"], float)
    return [*blocks, _spectrum_chart(values)] if np.any(values > 0) else blocks


def _spectrum_sentence(spectrum: Mapping[str, Any]) -> str:
    """Return the extreme singular values and their mean square in words."""
    largest, smallest, mean = (
        number_text(spectrum[name]) or "not finite" for name in SPECTRUM_NUMBERS
    )
    return (
        f"The singular values of the Jacobian of the outputs by the inputs go from {smallest} to "
        f"{largest}, medians over {spectrum['examples']} examples. A small random change of the "
        f"input grows by a factor whose mean square is {mean}; 1 keeps distances."
    )


def _spectrum_chart(values: np.ndarray) -> Chart:
    numbers = np.arange(1, len(values) + 1)
    ends = LogRange.of(values, np.ones(1))
    zeros = int((values == 0).sum())
    also = f"; {zeros} more are zero" if zeros else ""
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "measured",
            "x": chart_array(numbers),
            "y": chart_array(np.where(values > 0, values, np.nan)),
            "line": {"color": MEASURED_COLOR, "width": 1.5},
            "marker": {"color": MEASURED_COLOR, "size": 5},
            "hovertemplate": "%{x}: %{y:.3g}",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "distances are kept",
            "x": chart_array([0.5, len(values) + 0.5]),
            "y": chart_array([1.0, 1.0]),
            "line": {"color": HEALTHY_COLOR, "width": 1.5, "dash": "dash"},
            "hoverinfo": "skip",
        },
    ]
    axis = {
        "title": {"text": "number, from the largest on"},
        "tickformat": "d",
        "range": [0.5, len(values) + 0.5],
    }
    layout = {"xaxis": axis, "yaxis": ends.axis("singular value")}
    return Chart(f"Singular values of the Jacobian{also}", traces, layout)
