"""A diagnosis as a page for the terminal: faults with causes and cures, and all layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jinit.report.diagnosis.columns import Column, Room, filled_columns, layer_cells, legend_text
from jinit.report.diagnosis.faults import (
    VERDICT_MEANINGS,
    FaultGroup,
    LayerData,
    group_faults,
    has_fine_rate,
    is_rate_at_limit,
    note_lines,
    rate_line,
)
from jinit.report.verdict_colors import verdict_color

_WIDE_TERMINAL = 110
"""Columns of a terminal from which on the expected intervals are shown."""
_MEDIUM_TERMINAL = 70
"""Columns of a terminal from which on every measurement is shown."""


def diagnosis_table(data: Mapping[str, Any]) -> Group:
    """Return a diagnosis as a page for the terminal.

    Args:
      data: plain data from `Diagnosis.to_dict()`.

    >>> data = {"verdict": "stable", "layers": [], "faults": [], "notes": [], "shares": {}}
    >>> diagnosis_table(data).renderables[0].plain
    '✓ stable: signal and gradient pass through all layers as in a healthy network'
    """
    parts: list[Any] = [_headline(data["verdict"])]
    for group in group_faults(data["faults"], data["layers"]):
        text = _group_text(group, data["verdict"])
        parts.append(Padding(text, (1, 0, 0, 2), expand=False))
    if rate := rate_line(data):
        is_fine = has_fine_rate(data)
        mark = "!" if is_rate_at_limit(data) else "✓" if is_fine else "✗"
        line = f"{mark} {rate}"
        parts += [Text(), Text(line, style="" if is_fine else verdict_color("exploding"))]
    if data["layers"]:
        parts += [Text(), _LayerTable(data["layers"])]
    return Group(*parts, *(Text(f"• {note}") for note in note_lines(data)))


def _headline(verdict: str) -> Text:
    mark = "✓" if verdict == "stable" else "✗"
    line = Text(f"{mark} {verdict}", style=f"bold {verdict_color(verdict)}")
    return line.append(f": {VERDICT_MEANINGS[verdict]}", style="not bold default")


def _group_text(group: FaultGroup, worst: str) -> Table:
    """Return one group of faults, with texts that wrap beside their labels."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    grid.add_row("where", Text(group.where))
    if group.verdict != worst:
        grid.add_row("what", Text(f"{group.verdict}: {VERDICT_MEANINGS[group.verdict]}"))
    grid.add_row("why", Text(group.cause))
    if group.cure:
        grid.add_row("write", Text(group.cure, style="cyan"))
    return grid


@dataclass(frozen=True)
class _LayerTable:
    """A table of all layers, with as many columns as the terminal has room for."""

    layers: Sequence[LayerData]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        room = _page_room(options.max_width)
        columns = filled_columns(self.layers)
        shown = [n for n, column in enumerate(columns) if column.room.value <= room.value]
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        table.caption, table.caption_justify = (
            _caption([columns[n] for n in shown], room),
            "left",
        )
        for number in shown:
            column = columns[number]
            table.add_column(
                column.name,
                justify="right" if column.is_number else "left",
                no_wrap=column.name != "layer",
                overflow="fold",
            )
        for layer in self.layers:
            cells = [Text(text) for text in layer_cells(layer, columns)]
            cells[1].stylize(verdict_color(layer["verdict"]))
            table.add_row(*(cells[number] for number in shown))
        yield table


def _page_room(width: int) -> Room:
    if width >= _WIDE_TERMINAL:
        return Room.WIDE
    return Room.MEDIUM if width >= _MEDIUM_TERMINAL else Room.ANY


def _caption(columns: Sequence[Column], room: Room) -> str:
    hint = "" if room is Room.WIDE else f"; a terminal of {_WIDE_TERMINAL} columns shows more"
    return legend_text(columns) + hint
