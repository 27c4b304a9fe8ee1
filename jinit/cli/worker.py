"""`jinit worker DIR`: train runs of a sweep together with other processes."""

from pathlib import Path
from typing import Any

import click

from jinit.cli.output import INTERRUPTIONS, print_line


@click.command("worker")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("file", required=False, metavar="[FILE.toml]", type=click.Path(path_type=Path))
@click.option(
    "--lease-seconds",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    help="Seconds of silence after which others train the blocks of a worker.",
)
def work_on_sweep(directory: Path, file: Path | None, lease_seconds: float) -> int:
    """Train runs of the sweep in DIR until all are recorded; start as many workers as you like.

    DIR is a directory that all workers can reach, on one machine or on many. The first one begins
    the sweep of FILE.toml there:

        jinit worker /shared/study study.toml

    Workers may come, go and be killed at any time. Ctrl-C and SIGTERM save the runs in training,
    which the next worker goes on with. `jinit status DIR` shows what is done.
    """
    from jinit.cli.sweep import train_sweep
    from jinit.sweep.saved_settings import has_saved_settings, read_saved_sweep, save_settings

    if file is not None and not has_saved_settings(directory):
        save_settings(directory, file, {})
    sweep: Any = read_saved_sweep(directory, file)
    print_line(f"{sweep.task.name}: working on {directory}")

    def train(show: Any) -> object:
        return sweep.work(directory, show, lease_seconds=lease_seconds)

    code = train_sweep(train, to_errors=False)
    ending = "interrupted; other workers go on" if code in INTERRUPTIONS else "all runs recorded"
    print_line(f"{ending}: jinit status {directory}")
    return code
