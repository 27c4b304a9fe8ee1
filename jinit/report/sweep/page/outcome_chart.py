"""Outcomes of the runs, beside the labels that their networks had at step 0."""

from collections import Counter

import numpy as np

from jinit.report.page import Chart, Section, chart_array
from jinit.report.sweep.outcome import (
    DID_NOT_LEARN,
    DIVERGED,
    LEARNED,
    LEARNED_SLOWLY,
    UNCLEAR,
)
from jinit.report.sweep.page.charts import ROOM_FOR_LEGEND, label_axis
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.sweep.text_columns import OUTCOME_MEANING, VERDICT_MEANING

_COLORS = {
    LEARNED: "#009E73",
    LEARNED_SLOWLY: "#56B4E9",
    UNCLEAR: "#E69F00",
    DID_NOT_LEARN: "#808080",
    DIVERGED: "#D55E00",
}
_ROW_HEIGHT, _MARGIN_HEIGHT = 34, 130


def outcome_section(sweep: SweepData) -> Section:
    """Return the number of runs by label at step 0 and outcome, if networks were diagnosed.

    Args:
      sweep: the sweep.
    """
    pairs = [(row.get("at_initialization"), row["outcome"]) for row in sweep.rows]
    counts = Counter((str(label), outcome) for label, outcome in pairs if label)
    labels = Counter(str(label) for label, _ in pairs if label)
    if not labels:
        return Section("Outcome by label at step 0", [])
    names = [name for name, _ in labels.most_common()]
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": outcome,
            "marker": {"color": color},
            "x": chart_array(np.array([counts[name, outcome] for name in names])),
            "y": chart_array(np.arange(len(names))),
            "text": [str(counts[name, outcome] or "") for name in names],
            "textposition": "inside",
            "insidetextanchor": "middle",
            "hovertemplate": "%{x} runs<extra>%{fullData.name}</extra>",
        }
        for outcome, color in _COLORS.items()
        if any(counts[name, outcome] for name in names)
    ]
    rows = [f"{name} ({labels[name]} runs)" for name in names]
    layout = {
        "barmode": "stack",
        "xaxis": {"title": {"text": "runs"}, "tickformat": ",d"},
        "yaxis": label_axis(rows, "label at step 0"),
        **ROOM_FOR_LEGEND,
    }
    caption = (
        f"All runs by the label of their network at step 0 and their outcome. The label is that "
        f"of {VERDICT_MEANING}. Outcome: {OUTCOME_MEANING}."
    )
    height = _MARGIN_HEIGHT + _ROW_HEIGHT * len(names)
    return Section("Outcome by label at step 0", [Chart(caption, traces, layout, height)])
