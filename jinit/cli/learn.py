"""`jinit learn`: a page that teaches initialization, with numbers computed on this machine."""

from pathlib import Path

import click

from jinit.cli.output import DONE, show_page


@click.command("learn")
@click.option(
    "-o",
    "--out",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default="learn.html",
    show_default=True,
    help="The page to write.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def write_lessons(file: Path, opens: bool) -> int:
    """Write a page that teaches initialization: nine lessons, sliders, a calculator and a quiz.

    Its numbers are computed here, which takes about half a minute: small networks are measured and
    trained. The page is one file and needs no network.
    """
    from jinit.cli.compiled_programs import keep_compiled_programs
    from jinit.cli.progress import ProgressLine
    from jinit.report.learn import write_learning_page
    from jinit.report.page import check_page_path

    check_page_path(file)
    from jinit.lessons import compute_lessons

    with ProgressLine() as progress, keep_compiled_programs():
        numbers = compute_lessons(progress.show)
    show_page(write_learning_page(file, numbers), opens=opens)
    return DONE
