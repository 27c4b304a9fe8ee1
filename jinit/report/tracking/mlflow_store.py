"""Runs of MLflow: one experiment per sweep, in an SQLite file or on a server."""

import re
import shlex
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from jinit.report.extras import explain_missing_extra
from jinit.report.tracking.tracked_run import TrackedRun

_LABEL_TAG = "jinit.run"
_REVISION_TAG = "mlflow.source.git.commit"  # MLflow's own, which its pages show
_COMPLETE = ("FINISHED", "FAILED")
"""Status of a complete run: trained to the end, or diverged."""

# Limits of MLflow; one request takes 100 parameters, and 1000 parameters and metrics in all.
_LONGEST_KEY, _LONGEST_VALUE = 250, 6000
_MOST_METRICS, _MOST_PARAMS = 900, 100

_Item = TypeVar("_Item")


class MlflowStore:
    """The runs of one sweep in an MLflow store.

    Args:
      destination: a directory that exists, or a tracking URI such as `http://localhost:5000`.
      sweep: the name of the sweep, which names its experiment.

    Raises:
      ValueError: if the store cannot be opened.
      MissingExtraError: if MLflow is not installed.
    """

    def __init__(self, destination: Path | str, sweep: str) -> None:
        with explain_missing_extra("Writing to MLflow", "mlflow"):
            mlflow = import_module("mlflow")
        folder = destination.absolute() if isinstance(destination, Path) else None
        if folder is not None and set("?#%") & set(str(folder)):
            raise ValueError(
                f"MLflow cannot write to {folder}: its path has ?, # or %, which mean something "
                "else in the address of a store; give another directory (--out PATH)"
            )
        self.destination = str(destination) if folder is None else f"sqlite:///{folder}/mlflow.db"
        show = shlex.join(["mlflow", "ui", "--backend-store-uri", self.destination])
        self.next_command = self.destination if self.destination.startswith("http") else show
        self._entities = mlflow.entities
        artifacts = None if folder is None else (folder / "artifacts").as_uri()
        try:
            self._client = mlflow.MlflowClient(tracking_uri=self.destination)
            found = self._client.get_experiment_by_name(sweep)
            created = found or self._client.create_experiment(sweep, artifact_location=artifacts)
        except mlflow.MlflowException as error:
            raise ValueError(
                f"MLflow cannot open {self.destination}: {' '.join(str(error).split())}; "
                "expected a directory, or a "
                "tracking URI such as sqlite:///mlflow.db or http://localhost:5000"
            ) from error
        self._experiment = created.experiment_id if found else created

    def labels(self) -> set[str]:
        """Return the labels of the runs that are there; runs that were cut short are deleted."""
        labels = set()
        for run in self._runs():
            label = run.data.tags.get(_LABEL_TAG)
            if run.info.status in _COMPLETE:
                labels.add(label)
            elif label:
                self._client.delete_run(run.info.run_id)
        return labels

    def write(self, run: TrackedRun) -> None:
        """Write one run, whose status says at the end that it is complete.

        Args:
          run: the run.
        """
        milliseconds = round(run.started_at * 1000)
        opened = self._client.create_run(
            self._experiment, start_time=milliseconds, tags=_tags(run), run_name=run.name
        )
        number = opened.info.run_id
        params = [self._entities.Param(key, value) for key, value in _params(run).items()]
        metrics = [
            self._entities.Metric(_metric_key(tag), value, milliseconds, step)
            for step, values in run.points
            for tag, value in values.items()
        ]
        parts = _parts(metrics, _MOST_METRICS), _parts(params, _MOST_PARAMS)
        for some_metrics, some_params in zip_longest(*parts, fillvalue=()):
            self._client.log_batch(number, metrics=some_metrics, params=some_params)
        end = milliseconds + round(1000 * run.facts.get("run_seconds", 0.0))
        status = _COMPLETE[run.has_failed]
        self._client.set_terminated(number, status, end)

    def close(self) -> None:
        """Do nothing: every run is complete."""

    def _runs(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=1000, page_token=token)
            yield from page
            if not (token := page.token):
                return


def _tags(run: TrackedRun) -> dict[str, str]:
    facts = {f"jinit.{name}": str(value) for name, value in run.facts.items()}
    revision = (
        {_REVISION_TAG: str(run.facts["git_revision"])} if "git_revision" in run.facts else {}
    )
    return {_LABEL_TAG: run.label} | facts | revision


def _params(run: TrackedRun) -> dict[str, str]:
    """Return the configuration with keys that MLflow takes; equal ones get a number."""
    params: dict[str, str] = {}
    for axis, value in run.config.items():
        key, number = _key(axis), 1
        while key in params:
            number += 1
            key = f"{_key(axis)[: _LONGEST_KEY - 8]}-{number}"
        params[key] = str(value)[:_LONGEST_VALUE]
    return params


def _key(name: str) -> str:
    """Return a name without the characters that MLflow refuses in the name of a parameter."""
    return re.sub(r"[^A-Za-z0-9_. -]+", "_", name).strip(". ")[:_LONGEST_KEY] or "_"


def _metric_key(tag: str) -> str:
    group, slash, name = tag.partition("/")
    return f"{group}{slash}{_key(name)}" if slash else _key(tag)


def _parts(items: Sequence[_Item], most: int) -> Iterator[Sequence[_Item]]:
    return (items[first : first + most] for first in range(0, len(items), most))
