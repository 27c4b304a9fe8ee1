"""Costs of a sweep: compilation, training and initial states."""

import math
from collections.abc import Sequence

from jinit.report.page import DataTable, Paragraphs, Section, TableColumn
from jinit.report.page.blocks import Cell, PageBlock
from jinit.report.sweep.candidate import RecordRow
from jinit.report.sweep.facets import group_by_axes
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.text import compact_text, value_text


def costs_section(sweep: SweepData) -> Section:
    """Return the cost of every compiled program, and that of every initialization.

    Args:
      sweep: the sweep.
    """
    groups = [rows for rows in group_by_axes(sweep.rows, ["group"]) if "group" in rows[0]]
    timed = [rows for rows in groups if _seconds(rows, "compile_seconds")]
    blocks: list[PageBlock] = []
    if timed:
        blocks += [Paragraphs([_sentence(timed)]), _program_table(sweep, timed)]
    starts = group_by_axes(sweep.rows, ["init"]) if "init" in sweep.outline.axes else []
    if any(_seconds(rows, "init_seconds") for rows in starts):
        blocks.append(_start_table(starts))
    return Section("Cost", blocks)


def _seconds(rows: Sequence[RecordRow], column: str) -> list[float]:
    values = [row.get(column) for row in rows]
    return [value for value in values if value is not None and math.isfinite(value)]


def _training_seconds(rows: Sequence[RecordRow]) -> float:
    """Return the seconds of training of a program, those of a block once."""
    blocks = {row.get("block"): row.get("run_seconds") or 0.0 for row in rows}
    return sum(blocks.values())


def _steps(rows: Sequence[RecordRow]) -> int:
    return sum(row["step"][-1] for row in rows if row.get("step"))


def _sentence(groups: Sequence[Sequence[RecordRow]]) -> str:
    runs, programs = sum(map(len, groups)), len(groups)
    compiling = sum(max(_seconds(rows, "compile_seconds")) for rows in groups)
    training = sum(map(_training_seconds, groups))
    text = (
        f"{runs} runs: {programs} training {'program' if programs == 1 else 'programs'} ready "
        f"after {compact_text(compiling, 3)} s of tracing and compiling, "
        f"{compact_text(training, 3)} s of training"
    )
    steps = sum(map(_steps, groups))
    return f"{text}, {steps / training:,.0f} steps/s." if training and steps else f"{text}."


def _program_table(sweep: SweepData, groups: Sequence[Sequence[RecordRow]]) -> DataTable:
    axes = [axis for axis in sweep.outline.varying_axes if _is_constant(groups, axis)]
    columns = [
        TableColumn("program"),
        *map(TableColumn, axes),
        TableColumn("runs"),
        TableColumn("tracing and compiling / s"),
        TableColumn("training / s"),
        TableColumn("steps/s", "optimizer steps of all runs together"),
        TableColumn("executor", "how the runs of a block are trained together"),
    ]
    rows = []
    for group in groups:
        seconds, steps = _training_seconds(group), _steps(group)
        rows.append(
            [
                group[0]["group"],
                *(value_text(group[0].get(axis)) for axis in axes),
                len(group),
                max(_seconds(group, "compile_seconds")),
                seconds or None,
                (f"{steps / seconds:,.0f}", steps / seconds) if seconds else None,
                str(group[0].get("executor") or ""),
            ]
        )
    return DataTable(
        "Compiled programs; configurations that differ in numbers share one.", columns, rows
    )


def _is_constant(groups: Sequence[Sequence[RecordRow]], axis: str) -> bool:
    """Return whether every program has one value of an axis."""
    return all(len({str(row.get(axis)) for row in rows}) == 1 for rows in groups)


def _start_table(starts: Sequence[Sequence[RecordRow]]) -> DataTable:
    rows: list[list[Cell]] = []
    for each in starts:
        seconds = _seconds(each, "init_seconds")
        mean = sum(seconds) / len(seconds) if seconds else None
        rows.append([value_text(each[0].get("init")), mean])
    column = TableColumn("seconds", "mean of one draw, its share of the compilation included")
    caption = "Seconds for the initial state of one run, its share of the compilation included."
    return DataTable(caption, [TableColumn("init"), column], rows)
