"""A sweep as one table for the terminal: a section per facet, a line per candidate."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.comparison import compare_candidates
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.labels import competitor_words
from jinit.report.sweep.number_columns import REMOVABLE, NumberColumn, sweep_columns
from jinit.report.sweep.outcome import OUTCOME_STYLES
from jinit.report.sweep.outline import Outline
from jinit.report.sweep.text_columns import (
    INTERVAL_MEANING,
    OUTCOME_MEANING,
    VERDICT_MEANING,
    label_header,
    shown_axes,
    sweep_title,
    tuned_meaning,
    word_texts,
)
from jinit.report.text import escape_unprintable, value_text

_STAR = " ★"
_LABEL_COLUMNS, _WORD_COLUMNS = 20, 9
"""Least widths, in columns of the terminal; longer texts continue on the next line."""
_WORD_HEADERS = ("at\ninitial-\nization", "outcome")
_AXIS_COLUMNS = 12
"""Greatest width of the column of an axis."""


@dataclass(frozen=True)
class SweepTable:
    """A table for rich: initialization, outcome and metrics of every candidate, best first.

    A star marks a leader that is better than every other candidate of its facet. In a narrow
    terminal, columns are left out until the others fit; the metric that decides always stays.

    Args:
      facets: the facets of the sweep.
      outline: the outline of the sweep.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"init": ["zeros"]}
    >>> outline = Outline("digits", Metric("validation_loss"), axes, ("init",), (0,), 1)
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
        layout = _Layout(tuple(sweep_columns(self.facets, self.outline)), shown_axes(self.outline))
        table = self._build_table(layout)
        while not _fit_widths(table, options.max_width) and layout.can_shrink:
            layout = layout.shrink()
            table = self._build_table(layout)
        yield table

    def _build_table(self, layout: "_Layout") -> Table:
        outline = self.outline
        table = Table(
            box=SIMPLE_HEAD,
            padding=0,
            show_edge=False,
            title=Text(sweep_title(self.facets, outline)),
            caption=Text(_caption(layout, outline)),
            title_justify="left",
            caption_justify="left",
        )
        table.add_column(label_header(outline), overflow="fold")
        for axis in layout.axes:
            header = Text(escape_unprintable(axis))
            table.add_column(header, justify="right", overflow="fold", max_width=_AXIS_COLUMNS)
        for header in _WORD_HEADERS[layout.left_out_words :]:
            table.add_column(header, overflow="fold")
        for column in layout.columns:
            table.add_column(column.header, justify="right", no_wrap=True)
        for facet in self.facets:
            self._add_facet(table, facet, layout)
        return table

    def _add_facet(self, table: Table, facet: Facet, layout: "_Layout") -> None:
        metric = self.outline.metric
        if facet.label:
            table.add_row(Text(facet.label, style="bold"))
        is_clear = compare_candidates(facet, metric).is_clear
        for rank, candidate in enumerate(facet.candidates):
            star = _STAR if is_clear and rank == 0 else ""
            table.add_row(
                self._label_cell(candidate, layout, star),
                *(Text(_axis_text(candidate, axis)) for axis in layout.axes),
                *_word_cells(candidate)[layout.left_out_words :],
                *(Text(column.text(candidate, metric)) for column in layout.columns),
            )
        table.add_section()

    def _label_cell(self, candidate: Candidate, layout: "_Layout", star: str) -> Text:
        """Return the words that compete, or the whole label where no column has the numbers."""
        words = competitor_words(candidate.config, self.outline) if layout.axes else ""
        label = candidate.label if layout.has_long_labels else words or candidate.name
        return Text(f" {label}{star}", style="bold green" if star else "")


@dataclass(frozen=True)
class _Layout:
    """The parts of a table that are shown; it shrinks until the table fits into the terminal.

    Numbers that explain are left out first, then axes move into the label, then the verdict at
    initialization and the other numbers go. The last column, the metric, always stays.
    """

    columns: tuple[NumberColumn, ...]
    axes: tuple[str, ...]
    left_out: tuple[NumberColumn, ...] = ()
    has_long_labels: bool = False
    left_out_words: int = 0

    @property
    def can_shrink(self) -> bool:
        return len(self.columns) > 1 or bool(self.axes) or self.left_out_words < 1

    def shrink(self) -> "_Layout":
        """Return the layout without the least important part."""
        minor = [each for each in REMOVABLE if each in self.columns[:-1]]
        if minor:
            return self._without(minor[0])
        if self.axes:
            return replace(self, axes=(), has_long_labels=True)
        if self.left_out_words < 1:
            return replace(self, left_out_words=1)
        return self._without(self.columns[0])

    def _without(self, column: NumberColumn) -> "_Layout":
        kept = tuple(each for each in self.columns if each is not column)
        return replace(self, columns=kept, left_out=(*self.left_out, column))


def _fit_widths(table: Table, width: int) -> bool:
    """Set the widths of the columns whose text may continue on the next line.

    Returns:
      Whether the table fits into a terminal of `width` columns.
    """
    label, *others = table.columns
    longest = _longest_line(label)
    least = min(longest, _LABEL_COLUMNS)
    for column in others:
        column.width = min(_longest_line(column), column.max_width or width)
    spare = width - sum(column.width or 0 for column in others) - len(others)
    for words in (column for column in others if column.header in _WORD_HEADERS):
        width_of_words = min(words.width or 0, _WORD_COLUMNS)
        if spare < least:  # words such as `exploding 7/8` can take two lines
            spare += (words.width or 0) - width_of_words
            words.width = width_of_words
    label.width = max(least, min(longest, spare))
    return spare >= least


def _longest_line(column: Column) -> int:
    cells = (column.header, *column.cells)
    return max((cell_len(line) for cell in cells for line in str(cell).splitlines()), default=0)


def _all_candidates(facets: Iterable[Facet]) -> list[Candidate]:
    return [candidate for facet in facets for candidate in facet.candidates]


def _caption(layout: _Layout, outline: Outline) -> str:
    """Return the meaning of the columns shown, and the names of those that are left out."""
    meanings = dict.fromkeys(column.meaning for column in layout.columns if column.meaning)
    lines = [
        f"outcome: {OUTCOME_MEANING}",
        *meanings,
        f"±: {INTERVAL_MEANING}",
        f"{_STAR[-1]}: better than every other, each paired 95 % interval above zero",
    ]
    if not layout.left_out_words:
        lines.insert(0, f"at initialization: {VERDICT_MEANING}")
    if outline.varying_tuned_axes:
        lines.append(tuned_meaning(outline))
    if names := ["at initialization"] * layout.left_out_words + _names(layout.left_out):
        lines.append(f"left out in this narrow terminal: {', '.join(names)}")
    return "\n".join(lines)


def _names(columns: Iterable[NumberColumn]) -> list[str]:
    return [" ".join(column.header.split()) for column in columns]


def _axis_text(candidate: Candidate, axis: str) -> str:
    value = candidate.config.get(axis)
    return "" if value is None else value_text(value)


def _word_cells(candidate: Candidate) -> list[Text]:
    initial, outcome = word_texts(candidate)
    style = OUTCOME_STYLES.get(outcome.rstrip("/0123456789 "), "")
    return [Text(initial), Text(outcome, style=style)]
