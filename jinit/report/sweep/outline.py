"""The outline of a sweep: its task, metric, axes and seeds, read from its outline file."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinit.record import read_outline_data
from jinit.report.sweep.metric import Metric


def canonical_value(value: object) -> Any:
    """Return one value for all spellings of an axis value, such as 1 in JSON and 1.0 in Parquet.

    >>> canonical_value(1) == canonical_value(1.0)
    True
    >>> canonical_value([64, 64]) == canonical_value((64, 64))
    True
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


@dataclass(frozen=True)
class Outline:
    """The outline of a sweep.

    Args:
      task: name of the task.
      metric: the final column by which candidates are compared.
      axes: values by axis, in the order in which reports show them.
      program_axes: the axes that change the training program; each combination is a facet.
      seeds: seeds of every configuration.
      total_lanes: number of lanes when the sweep is complete.
      validation_examples: number of examples that the metric is a mean over.

    >>> outline = Outline(
    ...     task="digits",
    ...     metric=Metric("validation_loss"),
    ...     axes={"init": ["zeros", "he_normal"], "lr": [0.001]},
    ...     program_axes=(),
    ...     seeds=(0, 1),
    ...     total_lanes=4,
    ... )
    >>> outline.varying_axes
    ('init',)
    """

    task: str
    metric: Metric
    axes: Mapping[str, list]
    program_axes: tuple[str, ...]
    seeds: tuple[int, ...]
    total_lanes: int
    validation_examples: int = 1

    @property
    def candidate_axes(self) -> tuple[str, ...]:
        """The axes whose combinations are compared within a facet."""
        return tuple(axis for axis in self.axes if axis not in self.program_axes)

    @property
    def varying_axes(self) -> tuple[str, ...]:
        """The axes with more than one value."""
        return tuple(axis for axis, values in self.axes.items() if len(values) > 1)

    def sort_key(self, row: Mapping[str, Any]) -> tuple:
        """Return the sort key of a record: the order of the axes' values, then the seed."""
        return (*(self._value_rank(axis, row[axis]) for axis in self.axes), row["seed"])

    def _value_rank(self, axis: str, value: object) -> tuple[int, str]:
        known = [canonical_value(each) for each in self.axes[axis]]
        canonical = canonical_value(value)
        return (known.index(canonical), "") if canonical in known else (len(known), str(canonical))


def read_outline(directory: Path) -> Outline:
    """Read the outline of the sweep in a directory.

    Args:
      directory: where the sweep wrote `sweep.json`.

    Returns:
      The outline.

    Raises:
      ValueError: if the directory or the file is missing, or the file does not hold an outline.

    >>> read_outline(Path("no/such/sweep"))
    Traceback (most recent call last):
    ValueError: no/such/sweep does not exist; expected the output directory of a sweep...
    """
    data = read_outline_data(directory)
    return Outline(
        task=data["task"],
        metric=Metric(data["metric"], _chance(data)),
        axes=data["axes"],
        program_axes=tuple(axis for axis in data["axes"] if axis in data["program_axes"]),
        seeds=tuple(data["seeds"]),
        total_lanes=data["lanes"],
        validation_examples=data["validation_examples"],
    )


def _chance(data: Mapping[str, Any]) -> float | None:
    """Return the metric of a guess: the recorded one, else that of equally frequent classes."""
    if data.get("chance") is not None:
        return float(data["chance"])
    if not data.get("classes"):
        return None
    is_accuracy = data["metric"].endswith("accuracy")
    return 1 / data["classes"] if is_accuracy else math.log(data["classes"])
