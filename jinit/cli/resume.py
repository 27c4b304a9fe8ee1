"""`jinit resume DIR`: go on with a sweep that was interrupted."""

from pathlib import Path
from typing import Any

import click

from jinit.cli.output import STANDARD_OUTPUT, check_folder, print_line


@click.command("resume")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("file", required=False, metavar="[FILE.toml]", type=click.Path(path_type=Path))
@click.option("--json", "json_file", metavar="FILE", help="Write plain data; - is standard output.")
def resume_sweep(directory: Path, file: Path | None, json_file: str | None) -> int:
    """Train what an interrupted `jinit sweep` has not recorded yet.

    DIR is the directory that the sweep wrote to. However it ended, the records become those of an
    uninterrupted sweep, bit for bit. A network of your own is code, which DIR does not hold: give
    FILE.toml again, which names it.
    """
    from jinit.cli.sweep import print_results, train_sweep
    from jinit.sweep.saved_settings import read_saved_sweep

    check_folder("--json", json_file)
    sweep: Any = read_saved_sweep(directory, file)
    to_errors = json_file == STANDARD_OUTPUT
    print_line(f"{sweep.task.name}: going on in {directory}", to_errors=to_errors)
    code = train_sweep(lambda show: sweep.resume(directory, show), to_errors=to_errors)
    return print_results(directory, code, json_file)
