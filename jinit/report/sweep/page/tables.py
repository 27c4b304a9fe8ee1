"""The table of the candidates, and that of all runs."""

import math
from collections.abc import Sequence

from jinit.report.page import DataTable, Fold, Paragraphs, Section, TableColumn
from jinit.report.page.blocks import Cell, PageBlock
from jinit.report.sweep.candidate import Candidate, RecordRow
from jinit.report.sweep.comparison import Comparison, FacetFinding
from jinit.report.sweep.labels import competitor_words
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.number_columns import NumberColumn, sweep_columns
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.sweep.text_columns import (
    INTERVAL_MEANING,
    OUTCOME_MEANING,
    VERDICT_MEANING,
    label_header,
    shown_axes,
    tuned_meaning,
    word_texts,
)
from jinit.report.text import compact_text, value_text

_STAR = " ★"
_MOST_RUNS = 2000
_RUN_COLUMNS = (
    *("at_initialization", "outcome", "train_loss", "validation_loss", "validation_accuracy"),
    *("diverged_at", "stopped_at"),
)


_DIFFERENCE_COLUMNS = (
    TableColumn("behind the best", "difference paired by seed, with its 95 % interval"),
    TableColumn("p", "p-value of this difference, corrected for all comparisons"),
)


def candidates_section(sweep: SweepData) -> Section:
    """Return the table of all candidates, best first, and that of all runs.

    Args:
      sweep: the sweep.
    """
    blocks: list[PageBlock] = [_candidate_table(sweep)]
    if notes := _notes(sweep):
        blocks.append(Paragraphs(notes))
    return Section("Candidates", [*blocks, _run_table(sweep)])


def _notes(sweep: SweepData) -> list[str]:
    """Return how values were tuned, and why a leader with a star may have large p-values."""
    notes = []
    if sweep.outline.varying_tuned_axes:
        tuned = tuned_meaning(sweep.outline)
        notes.append(f"{tuned[0].upper()}{tuned[1:]}.")
    clear = [finding for finding in sweep.findings if finding.is_clear]
    if any(not each.is_worse for finding in clear for each in finding.comparisons):
        notes.append(
            "★ claims that all differences are above zero at once, which needs no correction; p is "
            "corrected for the number of comparisons and for the choice of the best."
        )
    return notes


def _candidate_table(sweep: SweepData) -> DataTable:
    outline, has_facets = sweep.outline, len(sweep.facets) > 1
    *others, metric = sweep_columns(sweep.facets, outline)
    axes = shown_axes(outline)
    columns = [
        *([TableColumn("setting")] if has_facets else []),
        TableColumn(
            label_header(outline),
            "★: better than every other candidate, each paired 95 % interval above zero",
        ),
        *map(TableColumn, axes),
        _column(metric, f"±: {INTERVAL_MEANING}"),
        *(_DIFFERENCE_COLUMNS if _has_differences(sweep) else ()),
        TableColumn("runs", "finished runs of this configuration"),
        TableColumn("outcome", OUTCOME_MEANING),
        TableColumn("at initialization", VERDICT_MEANING),
        *(_column(each, each.meaning) for each in others),
    ]
    rows = []
    for finding in sweep.findings:
        setting = [finding.facet.label] if has_facets else []
        for candidate, comparison in _compared(finding):
            words = competitor_words(candidate.config, outline) or candidate.name
            star = _STAR if comparison is None and finding.is_clear else ""
            initial, outcome = word_texts(candidate)
            rows.append(
                [
                    *setting,
                    f"{words}{star}",
                    *(_axis_cell(candidate.config.get(axis)) for axis in axes),
                    _number_cell(metric, candidate, outline.metric),
                    *(_difference_cells(comparison, finding) if _has_differences(sweep) else ()),
                    len(candidate.records),
                    outcome,
                    initial,
                    *(_number_cell(each, candidate, outline.metric) for each in others),
                ]
            )
    return DataTable("Candidates, best first.", columns, rows)


def _has_differences(sweep: SweepData) -> bool:
    learned = [finding for finding in sweep.findings if finding.has_learned]
    return any(each.difference for finding in learned for each in finding.comparisons)


def _column(column: NumberColumn, meaning: str) -> TableColumn:
    return TableColumn(" ".join(column.header.split()), meaning)


def _compared(finding: FacetFinding) -> list[tuple[Candidate, Comparison | None]]:
    """Return every candidate with its comparison to the leader, which has none itself."""
    others = [(each.candidate, each) for each in finding.comparisons]
    return [(finding.leader, None), *others]


def _number_cell(column: NumberColumn, candidate: Candidate, metric: Metric) -> Cell:
    number = column.number(candidate, metric)
    text = column.text(candidate, metric)
    return text if math.isnan(number) else (text, number)


def _difference_cells(comparison: Comparison | None, finding: FacetFinding) -> list[Cell]:
    difference = comparison.difference if comparison else None
    if comparison is None or difference is None or not finding.has_learned:
        return [None, None]
    text = finding.metric.lead_text(difference).replace(" worse", "").replace(" points", "")
    p_value = comparison.corrected_p
    shown = compact_text(p_value, 2) if p_value >= 1e-4 else "< 0.0001"
    return [(text, difference.mean), (shown, p_value)]


def _axis_cell(value: object) -> Cell:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value_text(value), float(value))
    return "" if value is None else value_text(value)


def _run_table(sweep: SweepData) -> Fold:
    outline, rows = sweep.outline, sweep.rows
    tests = [outline.test_metric.name] if outline.test_metric else []
    wanted = dict.fromkeys((*_RUN_COLUMNS, outline.metric.name, *tests))
    names = [name for name in wanted if any(_is_known(row.get(name)) for row in rows)]
    axes = outline.varying_axes
    columns = [TableColumn(name.replace("_", " "), digits=4) for name in (*axes, "seed", *names)]
    shown = _best_first(rows, outline.metric)[:_MOST_RUNS]
    cells = [
        [*(_axis_cell(row.get(axis)) for axis in axes), row["seed"], *(row.get(n) for n in names)]
        for row in shown
    ]
    caption = "Every run, best first; jinit.Results(directory).frame() has all columns."
    if len(rows) > len(shown):
        caption = f"The best {len(shown)} of {len(rows)} runs. {caption}"
    return Fold(f"All {len(rows)} runs", [DataTable(caption, columns, cells)])


def _is_known(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _best_first(rows: Sequence[RecordRow], metric: Metric) -> list[RecordRow]:
    def rank(row: RecordRow) -> float:
        value = row.get(metric.name)
        return math.inf if value is None or not math.isfinite(value) else -metric.merit(value)

    return sorted(rows, key=rank)
