"""Configuration, versions and device of a sweep, and the command that repeats it."""

import shlex
from collections.abc import Mapping
from typing import Any

from jinit.record import RECORDED_PACKAGES
from jinit.report.page import DataTable, Paragraphs, Section, Snippet, TableColumn
from jinit.report.page.blocks import PageBlock
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.text import join_names, value_text

_SETTINGS = {
    "task": "task",
    "metric": "metric",
    "test_metric": "metric on test examples",
    "build": "network",
    "optimizer": "optimizer",
    "steps": "steps of a run",
    "batch_size": "batch size",
    "record_every": "steps between two recordings",
    "measure_at": "later steps with measured layers",
    "patience": "recordings without improvement before a run stops",
    "data_seed": "seed of the data, the same for all runs",
    "bootstrap": "training examples drawn with replacement",
    "validation_examples": "validation examples",
    "test_examples": "test examples",
    "classes": "classes",
    "chance": "metric of a guess",
    "lanes": "runs of the whole sweep",
}
_ORIGIN = {
    "started_at": "started",
    "device": "device",
    "devices": "number of devices",
    "git_revision": "git revision of the working directory",
    "python_version": "Python",
    **{f"{package}_version": package for package in RECORDED_PACKAGES},
}
_MOST_VALUES = 12


def provenance_section(sweep: SweepData) -> Section:
    """Return the configuration, versions, device and revision, and a line that repeats the sweep.

    Args:
      sweep: the sweep.
    """
    columns = [TableColumn("setting"), TableColumn("value")]
    axes = [[axis, _values_text(values)] for axis, values in sweep.outline.axes.items()]
    seeds = ["seeds", _values_text(list(sweep.outline.seeds))]
    configuration = [*axes, seeds, *_known(sweep.settings, _SETTINGS)]
    blocks: list[PageBlock] = [
        *_repeat_blocks(sweep.settings),
        Snippet(f'jinit.Results("{sweep.directory}")', "To read the records in Python"),
        DataTable("Configuration", columns, configuration),
    ]
    if origin := _known(sweep.settings, _ORIGIN):
        blocks.append(DataTable("Versions and device", columns, origin))
    return Section("Provenance", blocks)


def _known(settings: Mapping[str, Any], names: Mapping[str, str]) -> list[list[str]]:
    return [
        [title, value_text(value) if not isinstance(value, list) else _values_text(value)]
        for name, title in names.items()
        if (value := settings.get(name)) is not None
    ]


def _values_text(values: list[Any]) -> str:
    shown = join_names(list(map(value_text, values)), most=_MOST_VALUES)
    return f"{len(values)} values: {shown}" if len(values) > _MOST_VALUES else shown


def _repeat_blocks(settings: Mapping[str, Any]) -> list[PageBlock]:
    """Return the command that repeats the sweep, from its revision if that is known."""
    command, revision = settings.get("command"), settings.get("git_revision")
    if not command:
        return [Paragraphs(["The command that ran this sweep was not recorded."])]
    clean = revision.removesuffix("+") if revision else ""
    line = f"git checkout {shlex.quote(clean)} && {command}" if clean else command
    blocks: list[PageBlock] = [Snippet(line, "To repeat this sweep")]
    if clean != (revision or ""):
        note = "Files of the working directory differed from this revision when the sweep ran."
        blocks.append(Paragraphs([note]))
    return blocks
