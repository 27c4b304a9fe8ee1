"""Lesson: what a bad initialization does to training, from a real sweep."""

from typing import Any

import numpy as np

from jinit.report.initializer_colors import choose_looks
from jinit.report.learn.drawing import lesson_table, line_trace, titled_axis
from jinit.report.learn.numbers import DigitRow, DigitRuns
from jinit.report.page import (
    LEGEND_ABOVE,
    Chart,
    DataTable,
    PageBlock,
    Prose,
    Section,
    Snippet,
    TableColumn,
    chart_array,
    chart_text,
    log_axis,
)
from jinit.report.text import join_names

_TITLE = "7. Bad initializations on digits"
_LOSS_RANGE = (0.05, 10.0)
"""Losses that are drawn."""


def digits_section(runs: DigitRuns | str, loss_of_chance: float) -> Section:
    """Return the lesson on the sweep, or the reason why it is missing.

    Args:
      runs: the sweep, or the reason.
      loss_of_chance: cross-entropy of ten equally probable classes.
    """
    if isinstance(runs, str):
        return Section(_TITLE, [Prose(["This lesson trains networks on scanned digits.", runs])])
    return Section(_TITLE, _blocks(runs, loss_of_chance))


def _blocks(runs: DigitRuns, loss_of_chance: float) -> list[PageBlock]:
    inits, rates = _axes(runs)
    seeds = len(runs.rows[0].accuracies)
    return [
        Prose(
            [
                f"{len(inits)} initializations, {len(rates)} learning rates and {seeds} seeds: "
                f"{len(runs.rows) * seeds} networks with {runs.depth} hidden relu layers of "
                f"{runs.width} units, trained on scikit-learn's 1,797 scanned digits with SGD "
                f"(momentum 0.9) for {runs.steps[-1]} steps while this page was built. Accuracies "
                f"are those of {runs.validation_examples} examples that were not trained on."
            ]
        ),
        _heat_map(runs),
        _curves(runs),
        _verdict_table(runs),
        Prose(
            [
                "zeros and tiny weights stay at the loss of a guess, ln 10 = "
                f"{loss_of_chance:.4f}, with every learning rate: no gradient arrives, and only "
                "the output's biases learn. Huge weights diverge in the first steps. With weights "
                "of the right size the learning rate decides, and too large a rate ruins the best "
                "initialization. The verdict of `jinit.diagnose` names the three failures before "
                "the first step; the learning rate is the subject of the next lesson.",
                f"The sweep's own conclusion: {runs.sentence}",
            ]
        ),
        Snippet("jinit sweep", "Twelve initializations with three activations, in a terminal"),
    ]


def _axes(runs: DigitRuns) -> tuple[list[str], list[float]]:
    inits = list(dict.fromkeys(row.init for row in runs.rows))
    return inits, sorted({row.lr for row in runs.rows})


def _heat_map(runs: DigitRuns) -> Chart:
    inits, rates = _axes(runs)
    rows = {(row.init, row.lr): row for row in runs.rows}
    cells = [[rows[init, rate] for rate in rates] for init in inits]
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": [f"{rate:g}" for rate in rates],
        "y": [chart_text(init) for init in inits],
        "z": chart_array([[100 * _mean_accuracy(cell) for cell in line] for line in cells]),
        "zmin": 0,
        "zmax": 100,
        "text": [["" if _is_lost(cell) else _cell_text(cell) for cell in line] for line in cells],
        "texttemplate": "%{text}",
        "colorscale": "Cividis",
        "colorbar": {"title": {"text": "%"}, "thickness": 12},
        "hoverinfo": "skip",
        "xgap": 2,
        "ygap": 2,
    }
    lost = [
        {"x": x, "y": y, "text": _cell_text(cell), "showarrow": False, "font": {"size": 10}}
        for y, line in enumerate(cells)
        for x, cell in enumerate(line)
        if _is_lost(cell)
    ]
    return Chart(
        "Validation accuracy in percent, mean over the seeds that did not diverge. Cells without a "
        "color have none.",
        [trace],
        {
            "xaxis": titled_axis("learning rate", type="category"),
            "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
            "annotations": lost,
        },
        height=340,
    )


def _mean_accuracy(row: DigitRow) -> float:
    finished = row.accuracies[~np.isnan(row.accuracies)]
    return float(finished.mean()) if len(finished) else np.nan


def _is_lost(row: DigitRow) -> bool:
    """Return whether all runs diverged."""
    return row.diverged == len(row.accuracies)


def _cell_text(row: DigitRow) -> str:
    """Return mean accuracy and diverged runs, with the line break of plotly."""
    accuracy = "" if _is_lost(row) else f"{100 * _mean_accuracy(row):.1f}"
    diverged = f"{row.diverged} of {len(row.accuracies)}<br>diverged" if row.diverged else ""
    return "<br>".join(filter(None, (accuracy, diverged)))


def _best_rate(runs: DigitRuns, init: str) -> DigitRow:
    """Return the row of the learning rate with the least final loss, as the sweep chooses it."""
    rows = [row for row in runs.rows if row.init == init]
    return min(rows, key=lambda row: float(np.nan_to_num(row.loss_curve[-1], nan=np.inf)))


def _curves(runs: DigitRuns) -> Chart:
    inits, _ = _axes(runs)
    best = [_best_rate(runs, init) for init in inits]
    lost = [row.init for row in best if _is_lost(row)]
    looks = choose_looks(inits)
    traces = [
        line_trace(
            f"{row.init}, rate {row.lr:g}",
            runs.steps[: len(row.loss_curve)],
            row.loss_curve,
            looks[row.init].color,
            dash=looks[row.init].dash,
            mode="lines+markers",
        )
        for row in best
        if not _is_lost(row)
    ]
    gone = f" {join_names(lost)} diverged with every rate." if lost else ""
    return Chart(
        "Validation loss of each initialization with its best learning rate, mean over the seeds. "
        f"Networks that do not learn lie on one line, at the loss of a guess.{gone}",
        traces,
        {
            "xaxis": titled_axis("step"),
            "yaxis": log_axis(*_LOSS_RANGE, "loss (nats)"),
            "legend": LEGEND_ABOVE,
        },
        height=400,
    )


def _verdict_table(runs: DigitRuns) -> DataTable:
    inits, _ = _axes(runs)
    best = [_best_rate(runs, init) for init in inits]
    return lesson_table(
        "Verdict of jinit.diagnose before the first step, and what came of it",
        [
            TableColumn("initialization"),
            TableColumn("before training"),
            TableColumn("best learning rate"),
            TableColumn("accuracy with it (%)", "mean over the seeds that did not diverge"),
        ],
        [
            [row.init, row.verdict, None, "diverged"]
            if _is_lost(row)
            else [row.init, row.verdict, row.lr, 100 * _mean_accuracy(row)]
            for row in best
        ],
    )
