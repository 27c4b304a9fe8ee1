"""Runs of wandb, which are written offline: one per run, in the group of the sweep."""

import os
import shlex
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from jinit.report.extras import explain_missing_extra
from jinit.report.tracking.tracked_run import LABEL_LENGTH, TrackedRun

_WANDB_SETTINGS = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "silent": True,
    "symlink": False,
    # They describe this machine, which need not be the one that trained, and take most of the time.
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}


class WandbRuns:
    """The runs of one sweep in a directory of wandb, from which `wandb sync` uploads them.

    A run is written to a temporary folder and moved when it is finished, so that none is there in
    part. `WANDB_MODE` and `WANDB_PROJECT` mean what they mean for wandb.

    Args:
      folder: an existing directory, which wandb calls `dir`.
      sweep: the name of the sweep, which becomes the group.
      task: the name of its task, which becomes the project.

    Raises:
      ValueError: if wandb is disabled.
      MissingExtraError: if wandb is not installed.
    """

    def __init__(self, folder: Path, sweep: str, task: str) -> None:
        with explain_missing_extra("Writing to wandb", "wandb"):
            wandb = import_module("wandb")
        self._mode = os.environ.get("WANDB_MODE") or "offline"
        if self._mode == "disabled":
            raise ValueError("WANDB_MODE is 'disabled', with which wandb writes nothing: unset it")
        self._wandb, self._folder, self._group = wandb, folder / "wandb", sweep
        self._project = os.environ.get("WANDB_PROJECT") or task
        self._folder.mkdir(exist_ok=True)
        self._unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
        self.destination = str(self._folder)
        self.next_command = shlex.join(["wandb", "sync", self.destination])

    def labels(self) -> set[str]:
        """Return the labels of the runs that are there."""
        ending = self._id("")
        names = [path.name.removesuffix(ending) for path in self._folder.glob(f"*run-*{ending}")]
        return {name[-LABEL_LENGTH:] for name in names}

    def write(self, run: TrackedRun) -> None:
        """Write one run.

        Args:
          run: the run.
        """
        known = self._wandb.Settings.model_fields
        settings = {name: value for name, value in _WANDB_SETTINGS.items() if name in known}
        opened = self._wandb.init(
            dir=str(self._unfinished),
            mode=self._mode,
            project=self._project,
            group=self._group,
            id=self._id(run.label),
            name=run.name,
            config=unreserved_config(run.config),
            reinit="create_new",
            settings=self._wandb.Settings(**settings),
        )
        folder = Path(opened.dir).parent
        try:
            log_points(opened, run)
            opened.summary.update(dict(run.facts))
        except BaseException:  # a run that is left open keeps its id from the next try
            opened.finish(exit_code=1)
            raise
        opened.finish(exit_code=int(run.has_failed))
        folder.replace(self._folder / folder.name)

    def close(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def _id(self, label: str) -> str:
        """Return the id of a run, which no other sweep of the project has."""
        return f"{label}_{zlib.crc32(self._group.encode()):08x}"


def log_points(opened: Any, run: TrackedRun) -> None:
    """Log the metrics of every step to a run of wandb, or of trackio, which looks alike.

    Args:
      opened: what `init` returned.
      run: the run of the sweep.
    """
    for step, values in run.points:
        opened.log(dict(values), step=step)


def unreserved_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without keys that begin with `_`, which both trackers reserve.

    Args:
      values: value by name.

    >>> unreserved_config({"lr": 0.1, "_wandb": 1})
    {'lr': 0.1, 'axis_wandb': 1}
    """
    return {f"axis{key}" if key.startswith("_") else key: value for key, value in values.items()}
