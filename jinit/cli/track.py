"""`jinit track DIR --to TRACKER`: copy the runs of a sweep to an experiment tracker."""

from pathlib import Path

import click

from jinit.cli.output import DONE, print_error, print_line


@click.command("track")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "tracker",
    required=True,
    metavar="TRACKER",
    help="tensorboard, wandb, trackio or mlflow.",
)
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    help="Directory, or a tracking URI of mlflow.  [default: DIR/TRACKER]",
)
@click.option("--follow", is_flag=True, help="Go on until all runs of the sweep are recorded.")
def track_sweep(directory: Path, tracker: str, out: str | None, follow: bool) -> int:
    """Copy the runs of a sweep to an experiment tracker.

    DIR is the directory of a sweep, which may still be running. Each run has its learning curves,
    its configuration and its outcome. Runs that are there already are not written again. wandb
    writes offline, unless WANDB_MODE says otherwise.

        jinit track runs/digits --to tensorboard
    """
    from jinit.cli.training import interruption_code, show_progress
    from jinit.report.tracking.export import export_sweep, follow_sweep

    copy = follow_sweep if follow else export_sweep
    try:
        with show_progress() as show:
            export = copy(directory, tracker, out, show)
    except KeyboardInterrupt as interrupt:
        print_error("interrupted; the same command writes the runs that are missing")
        return interruption_code(interrupt)
    print_line(str(export))
    return DONE
