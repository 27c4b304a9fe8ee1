"""Runs of trackio on this machine: one per run of a sweep, in the group of the sweep."""

import contextlib
import contextvars
import io
import os
import shlex
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from jinit.report.extras import explain_missing_extra
from jinit.report.tracking.tracked_run import LABEL_LENGTH, TrackedRun
from jinit.report.tracking.wandb_runs import log_points, unreserved_config

_REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID")
"""Environment variables that would send runs away from this machine."""


class TrackioRuns:
    """The runs of one sweep in a directory of trackio.

    Args:
      folder: an existing directory, which trackio calls `TRACKIO_DIR`.
      sweep: the name of the sweep, which becomes the group.
      task: the name of its task, which becomes the project.

    Raises:
      ValueError: if this process uses trackio with another directory.
      MissingExtraError: if trackio is not installed.
    """

    def __init__(self, folder: Path, sweep: str, task: str) -> None:
        with explain_missing_extra("Writing to trackio", "trackio"), _trackio_directory(folder):
            trackio = import_module("trackio")
            used = Path(import_module("trackio.utils").TRACKIO_DIR)
        if used.absolute() != folder.absolute():
            raise ValueError(
                f"this process uses trackio with {used}, and trackio cannot change to "
                f"{folder}: give {used}, or run `jinit track` in a terminal"
            )
        self._trackio, self._project, self._group = trackio, task, sweep
        self._context = contextvars.Context()  # trackio keeps the user's own run in another one
        self.destination = str(folder)
        command = shlex.join(["trackio", "show", "--project", task])
        self.next_command = f"TRACKIO_DIR={shlex.quote(str(folder.absolute()))} {command}"

    def labels(self) -> set[str]:
        """Return the labels of the runs that are there."""
        return {run.name[-LABEL_LENGTH:] for run in self._runs(lambda run: True)}

    def write(self, run: TrackedRun) -> None:
        """Write one run; one that is interrupted is deleted.

        Args:
          run: the run.
        """
        with contextlib.redirect_stdout(io.StringIO()), _without_environment(*_REMOTE):
            self._context.run(self._write, run)

    def close(self) -> None:
        """Do nothing: every run is complete."""

    def _write(self, run: TrackedRun) -> None:
        opened = self._trackio.init(
            self._project,
            name=run.name,
            group=self._group,
            config=unreserved_config({**run.config, **run.facts}),
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
        try:
            log_points(opened, run)
            opened.finish()
        except BaseException:
            opened.finish()
            for each in self._runs(lambda each: each.id == opened.id):
                each.delete()
            raise

    def _runs(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """Return the runs of this sweep; there is no project before its first run."""
        try:
            runs = list(self._trackio.Api().runs(self._project))
        except ValueError:
            return []
        return [run for run in runs if wanted(run) and run.config.get("_Group") == self._group]


@contextlib.contextmanager
def _trackio_directory(folder: Path) -> Iterator[None]:
    """Set the directory that trackio reads when it is imported, and only then."""
    with _without_environment("TRACKIO_DIR"):
        os.environ["TRACKIO_DIR"] = str(folder.absolute())
        try:
            yield
        finally:
            del os.environ["TRACKIO_DIR"]


@contextlib.contextmanager
def _without_environment(*names: str) -> Iterator[None]:
    removed = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(removed)
