"""A sweep as one table for the terminal: a section per facet, a line per candidate."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from jinit.report.facets import Candidate, Facet, printable, value_text
from jinit.report.measures import hidden, scalars
from jinit.report.metric import UNKNOWN, compact, with_half
from jinit.report.outline import Outline
from jinit.report.recommendation import recommend

_COLOURS = {
    "stable": "green",
    "vanishing": "blue",
    "exploding": "red",
    "diverged": "bold red",
    "symmetric": "magenta",
    "saturated": "yellow",
}
_STAR = " ★"


def verdict_text(verdicts: Sequence[str]) -> str:
    """The verdict of most seeds, with its count where they differ.

    >>> verdict_text(["stable"] * 8), verdict_text(["stable"] * 6 + ["exploding"] * 2)
    ('stable', 'stable 6/8')
    """
    if not verdicts:
        return UNKNOWN
    verdict, count = Counter(sorted(verdicts)).most_common(1)[0]
    shown = printable(verdict)
    return shown if count == len(verdicts) else f"{shown} {count}/{len(verdicts)}"


def sweep_table(facets: Iterable[Facet], outline: Outline) -> Table:
    """Start, verdict, signal at step 0 and final metrics of every candidate, best first.

    A star marks a leader that is better than every other candidate of its facet.

    >>> from jinit.report.metric import Metric
    >>> plan = Outline("digits", Metric("validation_loss"), {"init": ["zeros"]}, (), (0,), 1)
    >>> sweep_table((), plan).row_count
    0
    """
    facets = tuple(facets)
    table = Table(
        box=SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        title=Text(_title(facets, outline)),
        caption=Text(_caption(facets)),
        title_justify="left",
        caption_justify="left",
    )
    headers = _numbers(facets)
    _add_columns(table, outline, headers)
    for facet in facets:
        if facet.label:
            table.add_row(Text(facet.label, style="bold"))
        clear = recommend(facet, outline.metric).clear
        for index, candidate in enumerate(facet.candidates):
            star = _STAR if clear and index == 0 else ""
            table.add_row(*_cells(candidate, outline, headers, star))
        table.add_section()
    return table


def _all(facets: Iterable[Facet]) -> list[Candidate]:
    return [candidate for facet in facets for candidate in facet.candidates]


def _title(facets: Sequence[Facet], outline: Outline) -> str:
    lanes = sum(len(each.rows) for each in _all(facets))
    count = f"{lanes} lanes" if lanes == outline.lanes else f"{lanes} of {outline.lanes} lanes"
    seeds = len(outline.seeds)
    return f"{printable(outline.task)}: {count}, {seeds} {'seed' if seeds == 1 else 'seeds'}"


def _caption(facets: Sequence[Facet]) -> str:
    """What the columns mean, as far as this table shows it."""
    parts = [
        "std: of the outputs of a layer at step 0, first → last hidden layer, median over seeds",
        "dead, sat.: share of units at step 0",
        "±: 95 % interval of the mean over seeds",
        f"{_STAR[-1]}: better than every other, each paired 95 % interval above zero",
    ]
    if any(each.diverged for each in _all(facets)):
        parts.insert(2, "lost: runs that diverged; they count as guesses (loss: as the worst run)")
    return "\n".join(parts)


def _axes_shown(outline: Outline) -> list[str]:
    """The axes beside the start that tell candidates of one facet apart."""
    return [each for each in outline.candidate_axes if each != "init" and each in outline.varying]


def _add_columns(table: Table, outline: Outline, headers: Sequence[str]) -> None:
    table.add_column("start", overflow="fold", min_width=12)
    for axis in _axes_shown(outline):
        table.add_column(Text(printable(axis)), justify="right", overflow="fold")
    table.add_column("verdict", min_width=9)
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)


def _numbers(facets: Sequence[Facet]) -> list[str]:
    """Headers of the numbers; a column that no record fills is left out."""
    headers = ["std first\n→ last", "dead\n%", "sat.\n%", "train\nloss", "valid.\nloss"]
    if any(each.diverged for each in _all(facets)):
        headers.insert(0, "lost")
    if any(scalars(each, "validation_accuracy").size for each in _all(facets)):
        headers.append("accuracy\n%")
    return headers


def _cells(candidate: Candidate, outline: Outline, headers: Sequence[str], star: str) -> list[Text]:
    verdict = verdict_text([str(row.get("verdict") or UNKNOWN) for row in candidate.rows])
    start = value_text(candidate.config.get("init", candidate.label))
    numbers = {
        "lost": str(len(candidate.diverged) or ""),
        "std": _std_text(candidate),
        "dead": _percent(candidate, "dead_fraction"),
        "sat.": _percent(candidate, "saturated_fraction"),
        "train": _mean(candidate, "train_loss"),
        "valid.": _final(candidate, "validation_loss", outline),
        "accuracy": _final(candidate, "validation_accuracy", outline),
    }
    return [
        Text(f" {start}{star}", style="bold green" if star else ""),
        *(Text(value_text(candidate.config[axis])) for axis in _axes_shown(outline)),
        Text(verdict, style=_COLOURS.get(verdict.split(" ")[0], "")),
        *(Text(numbers[header.split()[0]]) for header in headers),
    ]


def _std_text(candidate: Candidate) -> str:
    stds = hidden(candidate, "activation_std")
    if not stds.size:
        return UNKNOWN
    first, last = np.median(stds[:, [0, -1]], axis=0)
    return f"{_short(float(first))}→{_short(float(last))}"


def _short(value: float) -> str:
    """Two digits, one where an exponent takes the room."""
    text = compact(value)
    return compact(value, 1) if "e" in text else text


def _percent(candidate: Candidate, column: str) -> str:
    fractions = hidden(candidate, column)
    return f"{100 * fractions.mean():.0f}" if fractions.size else UNKNOWN


def _mean(candidate: Candidate, column: str) -> str:
    values = scalars(candidate, column)
    return compact(float(values.mean()), 3) if values.size else UNKNOWN


def _final(candidate: Candidate, column: str, outline: Outline) -> str:
    """The deciding metric with its half-width; another column as the mean of its finite values."""
    percent = 100 if column.endswith("accuracy") else 1
    if column == outline.metric.name:
        mean, half = candidate.interval.mean, candidate.interval.half
        return _decimal(mean, half) if percent == 100 else with_half(mean, half)
    values = scalars(candidate, column)
    if not values.size:
        return UNKNOWN
    return _decimal(float(values.mean())) if percent == 100 else compact(float(values.mean()), 3)


def _decimal(mean: float, half: float = math.inf) -> str:
    error = f" ± {100 * half:.1f}" if math.isfinite(half) else ""
    return f"{100 * mean:.1f}{error}"
