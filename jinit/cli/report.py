"""`jinit report DIR|FILE`: write a sweep or a diagnosis as one HTML page that can be mailed."""

from pathlib import Path
from typing import Any

import click

from jinit.cli.output import DONE, show_page


@click.command("report")
@click.argument("source", metavar="DIR|FILE", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="The page to write.  [default: DIR/report.html, or beside FILE]",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--compare",
    multiple=True,
    metavar="AXIS",
    help="Axis that competes, in place of the initialization; may be given several times.",
)
def write_report(source: Path, out: Path | None, opens: bool, compare: tuple[str, ...]) -> int:
    """Write all that a sweep or a diagnosis found as one HTML page, which needs no network.

    DIR is the directory that `jinit sweep` or `jinit.Sweep(...).run` wrote to. The page says which
    initialization to use and how sure that is, and shows the curves, tables and settings. FILE is
    the plain data of `jinit diagnose --json FILE`:

        jinit report runs/digits --open
    """
    show_page(_write_page(source, out, compare), opens=opens)
    return DONE


def _write_page(source: Path, out: Path | None, compare: tuple[str, ...]) -> Path:
    """Write the page of a directory or a file: the one place that tells them apart.

    Raises:
      ValueError: if there is no page for this source.
    """
    if source.is_file():
        if compare:
            raise ValueError(f"--compare chooses axes of a sweep, and {source} is a file")
        from jinit.report.diagnosis.page import diagnosis_report

        return diagnosis_report(_read_json(source), out or source.with_suffix(".html"))
    from jinit.report import Results

    return Results(source).report(out or source / "report.html", compare or None)


def _read_json(file: Path) -> Any:
    from jinit.stored_file import read_stored_json

    try:
        return read_stored_json(file)
    except ValueError as error:
        raise ValueError(
            f"{file} is not JSON of jinit ({error}); expected the file of "
            "`jinit diagnose --json`, or the directory of a sweep"
        ) from error
