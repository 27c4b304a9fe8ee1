"""Copy the records of a sweep to an experiment tracker, once or while the sweep is running."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jinit.record import RECORDS_FOLDER
from jinit.report.sweep.outline import Outline, read_outline
from jinit.report.sweep.records import read_records
from jinit.report.tracking.tracked_run import safe_name, sweep_name, tracked_run
from jinit.report.tracking.trackers import Tracker, open_tracker

_SECONDS_BETWEEN_LOOKS = 2.0
"""How often the directory of a running sweep is looked at."""

Show = Callable[[str], object]
"""Takes one line about the progress."""


@dataclass(frozen=True)
class Export:
    """The number of runs that were written to an experiment tracker, and where they are.

    Args:
      destination: the directory or the tracking URI.
      written: number of runs that were written.
      present: number of runs of the sweep that were there before.
      next_command: the command that shows the runs, or for wandb uploads them.

    >>> print(Export("logs", written=1, present=2, next_command="tensorboard --logdir logs"))
    1 run written to logs, 2 were there before. Next: tensorboard --logdir logs
    """

    destination: str
    written: int
    present: int
    next_command: str

    def __str__(self) -> str:
        runs = "1 run" if self.written == 1 else f"{self.written} runs"
        verb = "was" if self.present == 1 else "were"
        before = f", {self.present} {verb} there before" if self.present else ""
        return f"{runs} written to {self.destination}{before}. Next: {self.next_command}"


def export_sweep(
    directory: Path,
    tracker: str,
    destination: str | os.PathLike[str] | None = None,
    show: Show = str,
) -> Export:
    """Write every finished run of a sweep that a tracker does not have yet.

    Args:
      directory: the directory of the sweep.
      tracker: the name of the tracker.
      destination: a directory, or a tracking URI of MLflow; None for one in the sweep's directory.
      show: called with a line about the progress after every run.

    Raises:
      ValueError: if the tracker is unknown, no block is finished, a record cannot be read, or the
        destination cannot be written to.
      MissingExtraError: if the tracker or pyarrow is not installed.
    """
    with _open_copy(directory, tracker, destination, show) as copy:
        copy.update()
        return copy.result


def follow_sweep(
    directory: Path,
    tracker: str,
    destination: str | os.PathLike[str] | None = None,
    show: Show = str,
    seconds: float = _SECONDS_BETWEEN_LOOKS,
) -> Export:
    """Write the runs of a sweep as its blocks are finished, until all runs are recorded.

    The outcome of a run compares it with the runs that were recorded when it was written.

    Args:
      directory: the directory of the sweep, which other processes may write to.
      tracker: the name of the tracker.
      destination: as for `export_sweep`.
      show: called with a line about the progress after every run and every look.
      seconds: time between two looks at the directory.

    Raises:
      ValueError: as for `export_sweep`, except that there may be no finished block yet.
      MissingExtraError: if the tracker or pyarrow is not installed.
    """
    with _open_copy(directory, tracker, destination, show) as copy:
        blocks: list[Path] = []
        while not copy.is_complete:
            before, blocks = blocks, sorted((directory / RECORDS_FOLDER).glob("*.parquet"))
            if blocks != before:
                copy.update()
            else:
                show(f"{copy.progress}; waiting for the sweep")
                time.sleep(seconds)
        return copy.result


class _Copy:
    """The copy of a sweep in a tracker, and how far it is."""

    def __init__(self, directory: Path, outline: Outline, tracker: Tracker, show: Show) -> None:
        self._directory, self._outline = directory, outline
        self._tracker, self._show = tracker, show
        self._labels = tracker.labels()
        self._written = self._recorded = 0

    def update(self) -> None:
        """Write the runs that were recorded since."""
        rows = read_records(self._directory, self._outline).to_pylist()
        self._recorded = len(rows)
        for row in rows:
            run = tracked_run(row, self._outline)
            if run.label not in self._labels:
                self._tracker.write(run)
                self._labels.add(run.label)
                self._written += 1
                self._show(self.progress)

    @property
    def is_complete(self) -> bool:
        return self._recorded >= self._outline.total_lanes

    @property
    def progress(self) -> str:
        total = self._outline.total_lanes
        return f"tracking: {self._written} of {total} runs written, {self._recorded} recorded"

    @property
    def result(self) -> Export:
        present = self._recorded - self._written
        return Export(self._tracker.destination, self._written, present, self._tracker.next_command)


@contextlib.contextmanager
def _open_copy(
    directory: Path, name: str, destination: str | os.PathLike[str] | None, show: Show
) -> Iterator[_Copy]:
    outline = read_outline(directory)
    place = directory / name if destination is None else destination
    tracker = open_tracker(name, place, sweep_name(directory), safe_name(outline.task))
    with contextlib.closing(tracker):
        yield _Copy(directory, outline, tracker, show)
