"""A diagnosis as a page: verdict and cures, charts of all layers, and a table."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinit.report.diagnosis.check import check_diagnosis
from jinit.report.diagnosis.columns import (
    filled_columns,
    layer_cells,
    legend_text,
    number_text,
    sort_values,
)
from jinit.report.diagnosis.faults import (
    VERDICT_MEANINGS,
    FaultGroup,
    LayerData,
    group_faults,
    has_fine_rate,
    note_lines,
    rate_line,
)
from jinit.report.diagnosis.histogram_charts import histogram_charts
from jinit.report.diagnosis.jacobian_chart import jacobian_blocks
from jinit.report.diagnosis.layer_charts import layer_charts
from jinit.report.diagnosis.text import headline_text
from jinit.report.page import (
    DataTable,
    Fold,
    Headline,
    PageBlock,
    Paragraphs,
    Section,
    Snippet,
    TableColumn,
    check_page_path,
    write_page,
)

_SHOWN_GROUPS = 3
"""Groups of faults that are shown at once; the others are folded."""


def diagnosis_report(data: Any, path: str | os.PathLike[str]) -> Path:
    """Write the page of a diagnosis: one HTML file that needs no network.

    Args:
      data: plain data, from `Diagnosis.to_dict()` or from the file of `jinit diagnose --json`.
      path: the file to write, whose name ends in .html.

    Returns:
      The path.

    Raises:
      MissingExtraError: if Jinja is not installed.
      ValueError: if the data is not that of a diagnosis, the name of the file ends otherwise, or it
        cannot be written.

    >>> diagnosis_report({}, "report.html")
    Traceback (most recent call last):
    ValueError: not a diagnosis: 'verdict' is missing; expected what `jinit diagnose --json`...
    """
    check_page_path(path)
    check_diagnosis(data)
    layers = data["layers"]
    return write_page(
        path,
        "Diagnosis of an initialization",
        [
            Section("Verdict", _verdict_blocks(data)),
            Section("Signal and gradient", layer_charts(layers)),
            Section("Histograms", histogram_charts(layers)),
            Section("Jacobian", jacobian_blocks(data)),
            Section("All layers", _layer_table(layers)),
            Section("Learning rate", _rate_blocks(data)),
            Section("Notes", [Paragraphs(lines)] if (lines := note_lines(data)) else []),
        ],
        subtitle=_provenance_line(data),
    )


def _verdict_blocks(data: Mapping[str, Any]) -> list[PageBlock]:
    verdict, rate = data["verdict"], rate_line(data)
    is_stable, is_fine = verdict == "stable", has_fine_rate(data)
    blocks: list[PageBlock] = [
        Headline(
            f"{'✓' if is_stable else '✗'} {verdict}: {VERDICT_MEANINGS[verdict]}",
            [headline_text(data), *([f"{'✓' if is_fine else '✗'} {rate}"] if rate else [])],
            "good" if is_stable and is_fine else "bad",
        )
    ]
    groups = [_group_blocks(group) for group in group_faults(data["faults"], data["layers"])]
    for group in groups[:_SHOWN_GROUPS]:
        blocks += group
    if rest := groups[_SHOWN_GROUPS:]:
        summary = f"{len(rest)} more {'fault' if len(rest) == 1 else 'faults'}"
        blocks.append(Fold(summary, [block for group in rest for block in group]))
    return blocks


def _group_blocks(group: FaultGroup) -> list[PageBlock]:
    texts = [
        f"Where: {group.where}",
        f"What: {group.verdict}: {VERDICT_MEANINGS[group.verdict]}",
        f"Why: {group.cause}",
    ]
    blocks: list[PageBlock] = [Paragraphs(texts)]
    return [*blocks, Snippet(group.cure, "Write")] if group.cure else blocks


def _layer_table(layers: Sequence[LayerData]) -> list[PageBlock]:
    if not layers:
        return []
    columns = filled_columns(layers)
    heads = [TableColumn("#", "place in execution order")]
    heads += [TableColumn(column.name, column.meaning) for column in columns]
    rows = [
        [number, *map(_sorted_cell, layer_cells(layer, columns), sort_values(layer, columns))]
        for number, layer in enumerate(layers, 1)
    ]
    legend = f"All layers. {legend_text(columns)}"
    return [DataTable(legend, heads, rows)]


def _sorted_cell(text: str, value: float | None) -> str | tuple[str, float]:
    return text if value is None else (text, value)


def _rate_blocks(data: Mapping[str, Any]) -> list[PageBlock]:
    rate = data.get("learning_rate")
    if not rate:
        return []
    blocks: list[PageBlock] = [Paragraphs([rate_line(data)])]
    if ratios := rate.get("update_ratio"):
        heads = [
            TableColumn("parameter"),
            TableColumn("update", "RMS of the optimizer's first update over that of the parameter"),
        ]
        rows = [[path, _sorted_cell(number_text(ratio), ratio)] for path, ratio in ratios.items()]
        table = DataTable("First update of each parameter, relative to it", heads, rows)
        blocks.append(Fold("First update of each parameter", [table]))
    return blocks


def _provenance_line(data: Mapping[str, Any]) -> str:
    """Return versions and device in one line; empty if they are not known."""
    return ", ".join(f"{name} {value}" for name, value in data.get("provenance", {}).items())
