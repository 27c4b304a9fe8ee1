"""`jinit report DIR`: write a sweep as one HTML page that can be mailed."""

from pathlib import Path

import click

from jinit.cli.output import DONE, print_line


@click.command("report")
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="The page to write.  [default: DIR/report.html]",
)
@click.option("--open", "is_opened", is_flag=True, help="Show the page in a browser.")
@click.option(
    "--compare",
    multiple=True,
    metavar="AXIS",
    help="Axis that competes, in place of the initialization; may be given several times.",
)
def write_report(source: Path, out: Path | None, is_opened: bool, compare: tuple[str, ...]) -> int:
    """Write all that a sweep found as one HTML page, which needs no network.

    DIR is the directory that `jinit sweep` or `jinit.Sweep(...).run` wrote to. The page says which
    initialization to use and how sure that is, and shows the curves, tables and settings:

        jinit report runs/digits --open
    """
    page = _write_page(source, out, compare)
    print_line(f"Report: {page}")
    if is_opened:
        click.launch(str(page))
    return DONE


def _write_page(source: Path, out: Path | None, compare: tuple[str, ...]) -> Path:
    """Write the page of a directory or a file: the one place that tells them apart.

    Raises:
      ValueError: if there is no page for this source.
    """
    if source.is_file():
        raise ValueError(
            f"{source} is a file; expected the directory of a sweep, which holds sweep.json: "
            "give the directory that `jinit sweep` printed"
        )
    from jinit.report import Results

    return Results(source).report(out or source / "report.html", compare or None)
