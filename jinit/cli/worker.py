"""`jinit worker DIR`: train runs of a sweep together with other processes."""

from pathlib import Path
from typing import Any

import click

from jinit.cli.output import INTERRUPTIONS, print_error, print_line


@click.command("worker")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("file", required=False, metavar="[FILE.toml]", type=click.Path(path_type=Path))
@click.option(
    "--lease-seconds",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    help="Seconds of silence after which others train the runs of a worker.",
)
def work_on_sweep(directory: Path, file: Path | None, lease_seconds: float) -> int:
    """Train runs of the sweep in DIR until all are recorded; start as many workers as you like.

    DIR is a directory that all workers can reach, on one machine or on many. All may be started by
    the same command, as the first one begins the sweep of FILE.toml there:

        jinit worker /shared/study study.toml

    Workers may come, go and be killed at any time. Ctrl-C and SIGTERM save the runs in training,
    which the next worker goes on with, and exit with code 130 or 143. `jinit status DIR` shows what
    is done, `jinit report DIR` the results.
    """
    from jinit.cli.sweep import train_sweep

    sweep: Any = _find_sweep(directory, file)
    print_line(f"{sweep.task.name}: working on {directory}")

    def train(show: Any) -> object:
        return sweep.work(directory, show, lease_seconds=lease_seconds)

    code = train_sweep(train, to_errors=False)
    if code in INTERRUPTIONS:
        print_error(f"interrupted; other workers go on, as jinit status {directory} shows")
    else:
        print_line(f"all runs are recorded; see them with: jinit report {directory} --open")
    return code


def _find_sweep(directory: Path, file: Path | None) -> Any:
    """Return the sweep in a directory, which begins with that of the file if it has none."""
    from jinit.sweep.saved_settings import has_saved_settings, read_saved_sweep, save_settings
    from jinit.sweep.settings import build_sweep

    if has_saved_settings(directory):
        return read_saved_sweep(directory, file)
    if file is None:
        raise ValueError(
            f"{directory} holds no sweep of the command line to join: begin one with "
            f"jinit worker {directory} FILE.toml, or check the path. A sweep from Python is joined "
            "by Sweep(...).work(directory)"
        )
    sweep, _ = build_sweep(file, {})
    save_settings(directory, file, {})
    return sweep
