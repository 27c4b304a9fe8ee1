"""The experiment trackers that jinit writes to, by name."""

import os
from pathlib import Path
from typing import Protocol

from jinit.choice import check_choice
from jinit.report.text import escape_unprintable
from jinit.report.tracking.mlflow_store import MlflowStore
from jinit.report.tracking.tensorboard_events import TensorBoardEvents
from jinit.report.tracking.tracked_run import TrackedRun
from jinit.report.tracking.trackio_runs import TrackioRuns
from jinit.report.tracking.wandb_runs import WandbRuns

TRACKERS = ("tensorboard", "wandb", "trackio", "mlflow")
"""Names of the trackers, which are also those of the extras that install them."""


class Tracker(Protocol):
    """The runs of one sweep in a tracker, each of which is there completely or not at all."""

    destination: str
    next_command: str

    def labels(self) -> set[str]:
        """Return the labels of the runs that are there."""
        ...

    def write(self, run: TrackedRun) -> None:
        """Write one run.

        Args:
          run: the run.
        """
        ...

    def close(self) -> None:
        """Let go of files and processes."""
        ...


def open_tracker(name: str, place: str | os.PathLike[str], sweep: str, task: str) -> Tracker:
    """Return the runs of a sweep in a tracker.

    Args:
      name: the name of the tracker.
      place: a directory, or a tracking URI of MLflow.
      sweep: the name of the sweep.
      task: the name of its task.

    Raises:
      ValueError: if the tracker is unknown, or the place cannot be written to.
      MissingExtraError: if the tracker is not installed.

    >>> open_tracker("tensorbord", "logs", "sweep", "digits")
    Traceback (most recent call last):
    ValueError: unknown tracker 'tensorbord'; did you mean 'tensorboard'?
    """
    check_choice("tracker", name, TRACKERS)
    is_address = "://" in str(place)
    if name == "mlflow":
        return MlflowStore(str(place) if is_address else _writable(place), sweep)
    if is_address:
        raise ValueError(
            f"{name} writes to a directory, got {str(place)!r}: only mlflow takes a tracking URI"
        )
    folder = _writable(place)
    if name == "tensorboard":
        return TensorBoardEvents(folder, sweep)
    return (WandbRuns if name == "wandb" else TrackioRuns)(folder, sweep, task)


def _writable(place: str | os.PathLike[str]) -> Path:
    """Return a directory that was created and can be written to.

    Raises:
      ValueError: if it cannot.
    """
    folder = Path(place)
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"cannot write runs to {escape_unprintable(str(folder))}: {reason}; give a directory "
            "that you may write to as destination (--out PATH on the command line)"
        ) from error
    return folder
