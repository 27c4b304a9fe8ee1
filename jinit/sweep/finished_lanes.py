"""The lanes whose records a directory already has, for a sweep that is resumed."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jinit.record import RECORDS_FOLDER, run_label
from jinit.report import Results, run_name
from jinit.sweep.block import Lane
from jinit.sweep.sweep_metric import SweepMetric


@dataclass(frozen=True)
class FinishedLanes:
    """The lanes that are recorded already; none in a new directory."""

    merits: Mapping[str, float] = field(default_factory=dict)
    """The metric that decides by the name of a run, larger if it is better; NaN if it diverged.
    """

    @classmethod
    def read(cls, directory: Path, metric: SweepMetric) -> "FinishedLanes":
        """Read the records of a directory.

        Args:
          directory: the directory of the sweep.
          metric: the metric of the sweep.

        Raises:
          ValueError: if a file of records is damaged or holds other records.
        """
        if not any((directory / RECORDS_FOLDER).glob("*.parquet")):
            return cls()
        results = Results(directory)
        frame: Any = results.frame()
        sign = 1 if metric.larger_is_better else -1
        values = sign * frame[metric.column].where(frame["diverged_at"].isna())
        axes = [axis for axis in results.outline.axes if axis in frame]
        rows = frame[[*axes, "seed"]].to_dict("records")
        names = [run_name(results.outline, row) for row in rows]
        return cls(dict(zip(names, values.astype(float), strict=True)))

    def has(self, lane: Lane, seeds: np.ndarray) -> bool:
        """Return whether a lane is recorded.

        Args:
          lane: the lane.
          seeds: the seeds of the sweep.
        """
        return bool(self.merits) and lane_name(lane, seeds) in self.merits

    def check(self, directory: Path, lanes: Iterable[Lane], seeds: np.ndarray) -> None:
        """Raise if a record belongs to none of these lanes.

        Args:
          directory: the directory, for the message.
          lanes: all lanes of the sweep.
          seeds: the seeds of the sweep.

        Raises:
          ValueError: if there is such a record.
        """
        if not self.merits:
            return
        names = {lane_name(lane, seeds) for lane in lanes}
        if strangers := sum(name not in names for name in self.merits):
            raise ValueError(
                f"{directory / RECORDS_FOLDER} has {strangers} records of runs that this sweep "
                "does not have: a file of another sweep was put there; move it away"
            )

    @property
    def best(self) -> str | None:
        """The name of the best run, the first of several; None if no metric is finite."""
        finite = {name: merit for name, merit in self.merits.items() if math.isfinite(merit)}
        return max(finite, key=finite.__getitem__, default=None)


def lane_name(lane: Lane, seeds: np.ndarray) -> str:
    """Return the name of a lane's run, which is also that of the file of its parameters.

    Args:
      lane: the lane.
      seeds: the seeds of the sweep.
    """
    return run_label(lane.member.axes_text, int(seeds[lane.seed_index]))
