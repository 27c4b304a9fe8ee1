"""A sweep as one table for the terminal: a section per facet, a line per candidate."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from jinit.report.sweep.comparison import compare_candidates
from jinit.report.sweep.facets import Candidate, Facet
from jinit.report.sweep.measures import finite_values, hidden_layer_values
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outcome import OUTCOME_STYLES
from jinit.report.sweep.outline import Outline
from jinit.report.text import (
    UNKNOWN_TEXT,
    compact_text,
    escape_unprintable,
    value_text,
)

_STAR = " ★"
_LABEL_COLUMNS, _WORD_COLUMNS = 14, 9
"""Least widths, in columns of the terminal; longer texts continue on the next line."""
_WORD_HEADERS = ("at\ninitial-\nization", "outcome")
_AXIS_COLUMNS = 12
"""Greatest width of the column of an axis."""


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers.

    Args:
      header: its heading.
      text: the cell of a candidate, given the metric of the sweep.
      meaning: what the column shows, for the caption; empty if the heading says it.

    >>> NumberColumn("runs", lambda candidate, _: str(len(candidate.records))).header
    'runs'
    """

    header: str
    text: Callable[[Candidate, Metric], str]
    meaning: str = ""


@dataclass(frozen=True)
class SweepTable:
    """A table for rich: initialization, outcome and metrics of every candidate, best first.

    A star marks a leader that is better than every other candidate of its facet. In a narrow
    terminal, columns are left out until the others fit; the metric that decides always stays.

    Args:
      facets: the facets of the sweep.
      outline: the outline of the sweep.

    >>> axes = {"init": ["zeros"]}
    >>> outline = Outline("digits", Metric("validation_loss"), axes, (), (0,), total_lanes=1)
    >>> SweepTable((), outline).row_count
    0
    """

    facets: tuple[Facet, ...]
    outline: Outline

    @property
    def row_count(self) -> int:
        """Number of lines: one per candidate and one per facet with a label."""
        return len(_all_candidates(self.facets)) + sum(bool(each.label) for each in self.facets)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        columns = _filled_columns(self.facets)
        removable = [column for column in _REMOVABLE if column in columns]
        removable = [column for column in removable if column.header != self._metric_header]
        left_out: list[NumberColumn] = []
        table = self._build_table(columns, left_out)
        while not _fit_widths(table, options.max_width) and removable:
            left_out.append(removable.pop(0))
            columns = [column for column in columns if column not in left_out]
            table = self._build_table(columns, left_out)
        yield table

    @property
    def _metric_header(self) -> str:
        return {"train_loss": _TRAIN_LOSS, "validation_loss": _VALIDATION_LOSS}.get(
            self.outline.metric.name, _ACCURACY
        ).header

    def _build_table(
        self, columns: Sequence[NumberColumn], left_out: Sequence[NumberColumn]
    ) -> Table:
        outline = self.outline
        table = Table(
            box=SIMPLE_HEAD,
            padding=0,
            show_edge=False,
            title=Text(_title(self.facets, outline)),
            caption=Text(_caption(columns, left_out)),
            title_justify="left",
            caption_justify="left",
        )
        axes = _shown_axes(outline)
        table.add_column("initialization", overflow="fold")
        for axis in axes:
            header = Text(escape_unprintable(axis))
            table.add_column(header, justify="right", overflow="fold", max_width=_AXIS_COLUMNS)
        for header in _WORD_HEADERS:
            table.add_column(header, overflow="fold")
        for column in columns:
            table.add_column(column.header, justify="right", no_wrap=True)
        for facet in self.facets:
            if facet.label:
                table.add_row(Text(facet.label, style="bold"))
            is_clear = compare_candidates(facet, outline.metric).is_clear
            for rank, candidate in enumerate(facet.candidates):
                star = _STAR if is_clear and rank == 0 else ""
                cells = [Text(column.text(candidate, outline.metric)) for column in columns]
                table.add_row(*_label_cells(candidate, axes, star), *cells)
            table.add_section()
        return table


def majority_text(words: Sequence[str]) -> str:
    """Return the most common word over seeds, with its count if they differ.

    >>> majority_text(["stable"] * 8), majority_text(["stable"] * 6 + ["exploding"] * 2)
    ('stable', 'stable 6/8')
    """
    if not words:
        return UNKNOWN_TEXT
    word, count = Counter(sorted(words)).most_common(1)[0]
    shown = escape_unprintable(word)
    return shown if count == len(words) else f"{shown} {count}/{len(words)}"


def _fit_widths(table: Table, width: int) -> bool:
    """Set the widths of the columns whose text may continue on the next line.

    Returns:
      Whether the table fits into a terminal of `width` columns.
    """
    label, *others = table.columns
    for column in others:
        column.width = min(_longest_line(column), column.max_width or width)
    spare = width - sum(column.width or 0 for column in others) - len(others)
    for words in (column for column in others if column.header in _WORD_HEADERS):
        width_of_words = min(words.width or 0, _WORD_COLUMNS)
        if spare < _LABEL_COLUMNS:  # words such as `exploding 7/8` can take two lines
            spare += (words.width or 0) - width_of_words
            words.width = width_of_words
    label.width = max(_LABEL_COLUMNS, min(_longest_line(label), spare))
    return spare >= _LABEL_COLUMNS


def _longest_line(column: Column) -> int:
    cells = (column.header, *column.cells)
    return max((cell_len(line) for cell in cells for line in str(cell).splitlines()), default=0)


def _all_candidates(facets: Iterable[Facet]) -> list[Candidate]:
    return [candidate for facet in facets for candidate in facet.candidates]


def _title(facets: Sequence[Facet], outline: Outline) -> str:
    recorded = sum(len(each.records) for each in _all_candidates(facets))
    seeds, total = len(outline.seeds), outline.total_lanes
    runs = f"{total} runs" if recorded == total else f"{recorded} of {total} runs"
    seeds_text = f"{seeds} {'seed' if seeds == 1 else 'seeds'}"
    return f"{escape_unprintable(outline.task)}: {runs}, {seeds_text}"


def _caption(columns: Sequence[NumberColumn], left_out: Sequence[NumberColumn]) -> str:
    """Return the meaning of the columns shown, and the names of those that are left out."""
    meanings = dict.fromkeys(column.meaning for column in columns if column.meaning)
    lines = [
        "at initialization: jinit.diagnose on the untrained network; many faults are harmless here",
        "outcome: did not learn: within 3 standard errors of a guess; slowly: nearer to it than to "
        "the best; diverged: NaN or infinity",
        *meanings,
        "±: 95 % interval of the mean over seeds; below 4 seeds, (lowest–highest)",
        f"{_STAR[-1]}: better than every other, each paired 95 % interval above zero",
    ]
    if left_out:
        names = ", ".join(" ".join(column.header.split()) for column in left_out)
        lines.append(f"left out in this narrow terminal: {names}")
    return "\n".join(lines)


def _shown_axes(outline: Outline) -> list[str]:
    """Return the axes besides `init` that distinguish candidates of one facet."""
    shown = set(outline.varying_axes) - {"init"}
    return [axis for axis in outline.candidate_axes if axis in shown]


def _filled_columns(facets: Sequence[Facet]) -> list[NumberColumn]:
    """Return the columns, without those for which there are no records."""
    candidates = _all_candidates(facets)
    columns = [_STD, _DEAD, _SATURATED, _TRAIN_LOSS, _VALIDATION_LOSS]
    if any(each.diverged_seeds for each in candidates):
        columns.insert(0, _DIVERGED)
    if any(finite_values(each, "validation_accuracy").size for each in candidates):
        columns.append(_ACCURACY)
    return columns


def _label_cells(candidate: Candidate, axes: Sequence[str], star: str) -> list[Text]:
    initial, outcome = (
        majority_text([str(row.get(column) or UNKNOWN_TEXT) for row in candidate.records])
        for column in ("at_initialization", "outcome")
    )
    label = value_text(candidate.config.get("init", candidate.label))
    return [
        Text(f" {label}{star}", style="bold green" if star else ""),
        *(Text(value_text(candidate.config[axis])) for axis in axes),
        Text(initial),
        Text(outcome, style=OUTCOME_STYLES.get(outcome.rstrip("/0123456789 "), "")),
    ]


def _std_text(candidate: Candidate, _: Metric) -> str:
    stds = hidden_layer_values(candidate, "activation_std")
    if not stds.size:
        return UNKNOWN_TEXT
    first, last = np.median(stds[:, [0, -1]], axis=0)
    return f"{_short_number(float(first))}→{_short_number(float(last))}"


def _short_number(value: float) -> str:
    """Return a number with two significant digits, or with one before an exponent."""
    text = compact_text(value)
    return compact_text(value, 1) if "e" in text else text


def _percent_text(column: str) -> Callable[[Candidate, Metric], str]:
    def text(candidate: Candidate, _: Metric) -> str:
        fractions = hidden_layer_values(candidate, column)
        return f"{100 * fractions.mean():.0f}" if fractions.size else UNKNOWN_TEXT

    return text


def _final_text(column: str) -> Callable[[Candidate, Metric], str]:
    """Return a function for the text of a final value.

    The text has an interval if the column is the metric; otherwise it is a mean.
    """

    def text(candidate: Candidate, metric: Metric) -> str:
        if column == metric.name:
            return _sample_text(metric, candidate.metric_by_seed.values())
        values = finite_values(candidate, column)
        return _mean_text(column, float(values.mean())) if values.size else UNKNOWN_TEXT

    return text


def _mean_text(column: str, mean: float) -> str:
    return Metric(column).metric_text(mean).removesuffix(" %")


def _sample_text(metric: Metric, values: Collection[float]) -> str:
    """Return the metric over seeds without the percent sign, which is in the heading."""
    return metric.sample_text(values).replace(" %", "").replace(" to ", "–")


_DIVERGED = NumberColumn(
    header="diverged",
    text=lambda candidate, _: str(len(candidate.diverged_seeds) or ""),
    meaning="diverged: runs that diverged; their accuracy is that of a guess, their loss the worst",
)
_STD = NumberColumn(
    header="std first\n→ last",
    text=_std_text,
    meaning="std: of layer outputs at step 0, first → last hidden layer, median over seeds",
)
_DEAD = NumberColumn(
    header="dead\n%",
    text=_percent_text("dead_fraction"),
    meaning="dead, sat.: dead units and saturated activations at step 0",
)
_SATURATED = NumberColumn(
    header="sat.\n%", text=_percent_text("saturated_fraction"), meaning=_DEAD.meaning
)
_TRAIN_LOSS = NumberColumn(header="train\nloss", text=_final_text("train_loss"))
_VALIDATION_LOSS = NumberColumn(header="valid.\nloss", text=_final_text("validation_loss"))
_ACCURACY = NumberColumn(header="accuracy\n%", text=_final_text("validation_accuracy"))

_REMOVABLE = (_SATURATED, _DEAD, _TRAIN_LOSS, _STD, _VALIDATION_LOSS, _DIVERGED, _ACCURACY)
"""Columns in the order in which they are left out; the metric that decides always stays."""
