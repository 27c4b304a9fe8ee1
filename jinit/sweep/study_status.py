"""The status of a sweep in a directory, read without changing it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinit.record import OUTLINE_FILE, read_outline_data
from jinit.sweep.block_checkpoints import count_checkpoints
from jinit.sweep.directory_folder import DirectoryFolder
from jinit.sweep.saved_settings import has_saved_settings
from jinit.sweep.store import count_records
from jinit.sweep.worker_heartbeats import WorkerHeartbeats


@dataclass(frozen=True)
class WorkerSign:
    """The last sign of life of a worker."""

    worker: str
    """Name of the worker."""
    status: Mapping[str, Any]
    """Its own words; empty if its file cannot be read."""
    age_seconds: float
    """Seconds since then, by the clocks of the file server and of this machine."""


@dataclass(frozen=True)
class StudyStatus:
    """The runs of a sweep that are recorded, and who trains the others."""

    task: str
    runs: int
    recorded: int
    """Runs with a record."""
    checkpoints: int
    """Blocks in training that are saved."""
    workers: Sequence[WorkerSign]

    def to_dict(self) -> dict[str, Any]:
        """Return the status as plain data."""
        return asdict(self)


def read_status(directory: Path) -> StudyStatus:
    """Return the status of the sweep in a directory.

    Args:
      directory: the directory.

    Raises:
      ValueError: if it holds no sweep or none has begun, or a file of it is damaged.
      MissingExtraError: if pyarrow is not installed.

    >>> read_status(Path("no/such/sweep"))
    Traceback (most recent call last):
    ValueError: no/such/sweep does not exist; expected the output directory of a sweep...
    """
    if has_saved_settings(directory) and not (directory / OUTLINE_FILE).exists():
        raise ValueError(
            f"the sweep in {directory} is not begun: its first worker reads the data and traces it "
            f"now, ask again in some seconds; or none works, then start jinit worker {directory}"
        )
    outline = read_outline_data(directory)
    heartbeats = WorkerHeartbeats(DirectoryFolder(directory), "status", 1.0, time.monotonic)
    workers = [
        WorkerSign(each.worker, each.status, max(time.time() - each.modified_at, 0.0))
        for each in heartbeats.statuses()
    ]
    recorded = count_records(directory)
    checkpoints = count_checkpoints(directory)
    return StudyStatus(outline["task"], outline["lanes"], recorded, checkpoints, workers)
