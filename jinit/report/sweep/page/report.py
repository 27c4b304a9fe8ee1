"""The page of a sweep, from its sections."""

import os
from collections.abc import Sequence
from pathlib import Path

from jinit.report.page import Section, check_page_path, write_page
from jinit.report.sweep.page.answer import answer_section
from jinit.report.sweep.page.costs import costs_section
from jinit.report.sweep.page.curves import curves_section
from jinit.report.sweep.page.heat import heat_section
from jinit.report.sweep.page.importance_chart import importance_section
from jinit.report.sweep.page.outcome_chart import outcome_section
from jinit.report.sweep.page.provenance import provenance_section
from jinit.report.sweep.page.seeds import seeds_section
from jinit.report.sweep.page.signals import signals_section
from jinit.report.sweep.page.sweep_data import SweepData, read_sweep_data
from jinit.report.sweep.page.tables import candidates_section
from jinit.report.sweep.text_columns import sweep_title

_SECTIONS = (
    answer_section,
    candidates_section,
    curves_section,
    heat_section,
    importance_section,
    seeds_section,
    outcome_section,
    signals_section,
    costs_section,
    provenance_section,
)


def sweep_sections(sweep: SweepData) -> list[Section]:
    """Return the sections of a page; one without anything to show has no blocks.

    Args:
      sweep: the sweep.
    """
    return [build(sweep) for build in _SECTIONS]


def sweep_report(
    directory: Path,
    path: str | os.PathLike[str],
    compare: str | Sequence[str] | None = None,
) -> Path:
    """Write the page of a sweep: one HTML file that needs no network.

    Args:
      directory: the directory of the sweep.
      path: the file to write, whose name ends in .html.
      compare: the axes that compete, as in `Results.best`.

    Returns:
      The path.

    Raises:
      ValueError: if no block is finished, a record cannot be read, an axis is unknown, or `path`
        cannot be written.
      MissingExtraError: if Jinja or pyarrow is not installed.

    >>> sweep_report(Path("no/such/sweep"), "report.html")
    Traceback (most recent call last):
    ValueError: no/such/sweep does not exist; expected the output directory of a sweep...
    """
    file = check_page_path(path)
    sweep = read_sweep_data(directory, compare)
    started = str(sweep.settings.get("started_at") or "")[:10]
    subtitle = " · ".join(filter(None, [sweep_title(sweep.facets, sweep.outline), started]))
    compared = sweep.outline.compare
    words = f"Comparison of {', '.join(compared)}" if compared else "A sweep"
    title = f"{'Initializations' if 'init' in compared else words} on {sweep.outline.task}"
    return write_page(file, title, sweep_sections(sweep), subtitle=subtitle)
