"""`jinit status DIR`: how much of a sweep is recorded, and who trains the rest."""

from pathlib import Path
from typing import Any

import click

from jinit.cli.output import DONE, check_folder, print_line, print_page, write_json


@click.command("status")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "json_file", metavar="FILE", help="Write plain data; - is standard output.")
def show_status(directory: Path, json_file: str | None) -> int:
    """Show how many runs of a sweep are recorded, and which workers train the others.

    It only reads DIR, and may be called at any time.
    """
    from jinit.sweep.study_status import read_status

    check_folder("--json", json_file)
    status = read_status(directory)
    if json_file is not None:
        write_json(json_file, status.to_dict())
        return DONE
    share = status.recorded / max(status.runs, 1)
    print_line(f"{status.task}: {status.recorded:,} of {status.runs:,} runs recorded ({share:.0%})")
    if status.checkpoints:
        print_line(f"{status.checkpoints} blocks in training are saved")
    if status.workers:
        print_page(_worker_table(status))
    if status.recorded < status.runs:
        print_line(f"go on with: jinit resume {directory}, or jinit worker {directory}")
    return DONE


def _worker_table(status: Any) -> Any:
    from rich.table import Table

    from jinit.report.text import escape_unprintable

    table = Table("worker", "stage", "lane-steps", "last sign of life")
    for worker in status.workers:
        told = worker.status
        table.add_row(
            escape_unprintable(worker.worker),
            escape_unprintable(str(told.get("stage", "unknown"))),
            escape_unprintable(str(told.get("lane_steps", "unknown"))),
            f"{worker.age_seconds:.0f} s ago",
        )
    return table
