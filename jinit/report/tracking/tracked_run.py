"""One run of a sweep in the form that all experiment trackers take."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinit.record import CONFIRM_FOLDER, SEARCH_FOLDER, read_outline_data
from jinit.report.sweep.outcome import DIVERGED
from jinit.report.sweep.outline import Outline
from jinit.report.sweep.saved_params import is_given, run_name
from jinit.report.tracking.metric_points import metric_points

LABEL_LENGTH = 16
"""Number of characters of the label that ends the name of every run."""

_FACTS = (
    "outcome",
    "at_initialization",
    "diverged_at",
    "stopped_at",
    "init_seconds",
    "run_seconds",
    "git_revision",
)
"""Columns about a whole run besides its axes and metrics."""

_LONGEST_NAME = 80


@dataclass(frozen=True)
class TrackedRun:
    """One run of a sweep.

    Args:
      label: the stable id of the run, which also names the folder of its parameters.
      name: a name for people, which is safe as that of a folder and ends with the label.
      config: value by axis, and the seed; without the axes that the run lacks.
      facts: what is known about the whole run, such as its outcome.
      points: the metrics by tag, such as `validation/loss`, for every step in ascending order.
      started_at: when the sweep started, in seconds since 1970.
    """

    label: str
    name: str
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    points: Sequence[tuple[int, Mapping[str, float]]]
    started_at: float

    @property
    def has_failed(self) -> bool:
        """Whether the run diverged, which trackers show as a failure."""
        return self.facts.get("outcome") == DIVERGED


def tracked_run(row: Mapping[str, Any], outline: Outline) -> TrackedRun:
    """Return a record as a run of a tracker.

    Args:
      row: the record.
      outline: the outline of the sweep.

    >>> from jinit.report.sweep.metric import Metric
    >>> outline = Outline("digits", Metric("validation_loss"), {"lr": [0.1, 1.0]}, (), (0,), 2)
    >>> curve = {"step": [0, 10], "validation_loss_curve": [2.3, 0.5], "validation_loss": 0.5}
    >>> run = tracked_run({"lr": 0.1, "seed": 0, **curve}, outline)
    >>> run.config, run.points[-1], run.name.removesuffix(run.label)
    ({'lr': 0.1, 'seed': 0}, (10, {'validation/loss': 0.5}), 'lr=0.1,seed=0-')
    """
    config = {axis: _plain(row[axis]) for axis in outline.axes if is_given(row.get(axis))}
    config["seed"] = row["seed"]
    label = run_name(outline, row)
    return TrackedRun(
        label=label,
        name=f"{_readable_name(config, outline)}-{label}",
        config=config,
        facts={name: row[name] for name in _FACTS if is_given(row.get(name))},
        points=metric_points(row, outline.axes),
        started_at=_seconds(row.get("started_at")),
    )


def sweep_name(directory: Path) -> str:
    """Return the name of a sweep in a tracker: that of its directory, and when it started.

    Args:
      directory: the directory of the sweep.

    Raises:
      ValueError: if it does not hold a sweep.
    """
    folder = directory.resolve()
    is_tuning = folder.name in (SEARCH_FOLDER, CONFIRM_FOLDER)  # a sweep of `jinit.tune`
    name = safe_name(f"{folder.parent.name}-{folder.name}" if is_tuning else folder.name)
    started = re.match(r"[\d-]+T[\d:]+", read_outline_data(directory).get("started_at") or "")
    return f"{name}-{re.sub('[-:]', '', started[0])}" if started else name


def safe_name(text: str, most: int = _LONGEST_NAME) -> str:
    r"""Return the text without the characters that a file system or a tracker may refuse.

    Args:
      text: any text.
      most: largest number of characters.

    >>> safe_name("he_normal, lr=0.1"), safe_name("../σ <script>\n" + "x" * 300, most=14)
    ('he_normal,_lr=0.1', '.._script_xxxx')
    """
    return re.sub(r"[^A-Za-z0-9._=,+-]+", "_", text)[:most] or "_"


def _readable_name(config: Mapping[str, Any], outline: Outline) -> str:
    """Return the values that tell the run from others; numbers with the name of their axis."""
    values = {axis: config[axis] for axis in outline.varying_axes if axis in config}
    words = [
        value if isinstance(value, str) else f"{axis}={value}" for axis, value in values.items()
    ]
    seed = f"seed={config['seed']}"
    return ",".join([*([safe_name(",".join(words), _LONGEST_NAME - 20)] if words else []), seed])


def _plain(value: Any) -> Any:
    """Return a value that every tracker takes: lists become text."""
    return value if isinstance(value, str | int | float) else str(value)


def _seconds(started_at: str | None) -> float:
    """Return the time that a sweep recorded, or that of now if it recorded none."""
    try:
        return datetime.fromisoformat(started_at or "").timestamp()
    except ValueError:
        return time.time()
