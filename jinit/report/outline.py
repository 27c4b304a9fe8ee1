"""What a sweep set out to do: its sweep.json, checked."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinit.report.metric import Metric

SWEEP_FILE = "sweep.json"
_REQUIRED: dict[str, type] = {
    "task": str,
    "metric": str,
    "axes": dict,
    "program_axes": list,
    "seeds": list,
    "lanes": int,
}


def identity(value: object) -> Any:
    """What two spellings of one axis value share, such as 1 in JSON and 1.0 in Parquet.

    >>> identity(1) == identity(1.0), identity([64, 64]) == identity((64, 64))
    (True, True)
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


@dataclass(frozen=True)
class Outline:
    """The plan of a sweep: task, deciding metric, axes with their values in order, seeds, lanes.

    Args:
        task: name of the task.
        metric: the final column that decides.
        axes: values by axis, in the order in which reports show them.
        program_axes: the axes that change the training program; their combinations are facets.
        seeds: seeds of every configuration.
        lanes: number of lanes when the sweep is complete.

    >>> axes = {"init": ["zeros", "he_normal"], "lr": [0.001]}
    >>> Outline("digits", Metric("validation_loss"), axes, (), (0, 1), 4).varying
    ('init',)
    """

    task: str
    metric: Metric
    axes: Mapping[str, list]
    program_axes: tuple[str, ...]
    seeds: tuple[int, ...]
    lanes: int

    @property
    def candidate_axes(self) -> tuple[str, ...]:
        """The axes whose combinations compete inside a facet."""
        return tuple(axis for axis in self.axes if axis not in self.program_axes)

    @property
    def varying(self) -> tuple[str, ...]:
        """The axes with more than one value."""
        return tuple(axis for axis, values in self.axes.items() if len(values) > 1)

    def order(self, row: Mapping[str, Any]) -> tuple:
        """Sort key of a record: by the order of the axes' values, then by seed."""
        return (*(self._rank(axis, row[axis]) for axis in self.axes), row["seed"])

    def _rank(self, axis: str, value: object) -> tuple[int, str]:
        known = [identity(each) for each in self.axes[axis]]
        wanted = identity(value)
        return (known.index(wanted), "") if wanted in known else (len(known), str(wanted))


def read_outline(directory: Path) -> Outline:
    """The outline of the sweep in a directory.

    Args:
        directory: where the sweep wrote `sweep.json`.

    Raises:
        ValueError: if the directory or the file is missing, or the file does not hold an outline.

    >>> read_outline(Path("no/such/sweep"))
    Traceback (most recent call last):
    ValueError: no/such/sweep does not exist; expected the output directory of a sweep...
    """
    file = directory / SWEEP_FILE
    try:
        found = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(_missing(directory)) from None
    except ValueError as error:
        raise ValueError(
            f"{file} is not JSON ({error}); expected what a sweep wrote there. "
            "Restore it, or run the sweep again into an empty directory"
        ) from None
    _check(file, found)
    return Outline(
        task=found["task"],
        metric=Metric(found["metric"], _chance(found)),
        axes=found["axes"],
        program_axes=tuple(axis for axis in found["axes"] if axis in found["program_axes"]),
        seeds=tuple(found["seeds"]),
        lanes=found["lanes"],
    )


def _missing(directory: Path) -> str:
    remedy = "expected the output directory of a sweep; run `jinit sweep`, or give the directory"
    if not directory.exists():
        return f"{directory} does not exist; {remedy} that it named"
    if not directory.is_dir():
        return f"{directory} is a file; {remedy} that holds it"
    return f"{directory} holds no {SWEEP_FILE}; {remedy} that does"


def _check(file: Path, found: object) -> None:
    for name, kind in _REQUIRED.items():
        value = found.get(name) if isinstance(found, dict) else None
        if not isinstance(value, kind):
            raise ValueError(
                f"{file} has {name} = {value!r}; expected a {kind.__name__}. The file may come "
                "from another version of jinit: run the sweep again into an empty directory"
            )


def _chance(found: Mapping[str, Any]) -> float | None:
    """What a guess reaches: given by the sweep, else that of equally frequent classes."""
    if found.get("chance") is not None:
        return float(found["chance"])
    if not found.get("classes"):
        return None
    accuracy = found["metric"].endswith("accuracy")
    return 1 / found["classes"] if accuracy else math.log(found["classes"])
