"""A block of lanes in training, and the records of its lanes."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from jinit.record import METRIC_PREFIXES
from jinit.sweep.groups import Member
from jinit.sweep.lane_program import LaneState


class Lane(NamedTuple):
    """One trial: a configuration and a seed."""

    member: Member
    seed_index: int
    """Place of the seed among the seeds of the sweep."""


class Scores(NamedTuple):
    """The metrics of the lanes of a block at one recording."""

    step: int
    metrics: Mapping[str, Any]
    """Arrays `[lanes]` by column of the record."""
    diverged_at: Any
    measured: Mapping[str, Any]
    """Arrays `[lanes, layers]` by statistic; empty where layers were not measured."""


@dataclass(frozen=True, eq=False)
class Block:
    """Lanes that are trained together."""

    number: int
    lanes: tuple[Lane, ...]
    first: int = 0
    """Place of the first lane, for a part of a block that did not fit into memory as a whole."""

    def name(self, group: int) -> str:
        """Return the name of the block in the directory of its sweep.

        Args:
          group: number of its group.

        >>> Block(7, ()).name(0)
        '000-000007'
        """
        return self.whole_name(group) + (f"-{self.first}" if self.first else "")

    def whole_name(self, group: int) -> str:
        """Return the name of the block of which this may be a part.

        Args:
          group: number of its group.
        """
        return f"{group:03d}-{self.number:06d}"

    @property
    def seed_indices(self) -> np.ndarray:
        """The seed index of every lane."""
        return np.array([lane.seed_index for lane in self.lanes])


@dataclass
class BlockRun:
    """One block in training. Scores are read back later, in the order of their computation."""

    block: Block
    state: Any
    """State of the lanes on the device, a `LaneState`."""
    total_steps: int
    run_seconds: float = 0.0
    """Its share of the seconds in which blocks were trained at the same time."""
    history: list[Scores] = field(default_factory=list)
    test_metrics: Mapping[str, Any] = field(default_factory=dict)
    queued_steps: int = 0

    def __post_init__(self) -> None:
        self._pending: deque[tuple[list[int], Mapping[str, Any], Any, Mapping[str, Any]]] = deque()
        self.first_step, self.planned_steps = self.queued_steps, self.total_steps
        diverged = self.history[-1].diverged_at >= 0 if self.history else np.zeros(1, bool)
        self._diverged_before = int(np.sum(diverged))

    def queue(
        self,
        state: LaneState,
        metrics: Mapping[str, Any],
        diverged_at: Any,
        steps: int,
        recordings: int = 1,
        measured: Mapping[str, Any] | None = None,
    ) -> None:
        """Append what is recorded of some more steps, which the device may still be computing.

        Args:
          state: the state after them.
          metrics: arrays `[lanes]`, or `[lanes, recordings]` if there are several.
          diverged_at: the first step with a metric that is not finite, in the same form.
          steps: number of steps.
          recordings: number of recordings, at equal distances.
          measured: arrays `[lanes, layers]` by statistic, after the last step; None for none.
        """
        self.state = state
        every = steps // recordings
        after = [self.queued_steps + every * each for each in range(1, recordings + 1)]
        self._pending.append((after, metrics, diverged_at, measured or {}))
        self.queued_steps += steps

    def read_pending(self, keep: int = 0) -> "BlockRun":
        """Wait for the scores that have not been read, and return the block.

        Args:
          keep: number of calls, the last ones, whose scores are left for later.
        """
        while len(self._pending) > keep:
            steps, metrics, diverged_at, measured = jax.device_get(self._pending.popleft())
            if len(steps) == 1:
                self.history.append(Scores(steps[0], metrics, diverged_at, measured))
                continue
            for place, step in enumerate(steps):
                values = {name: each[:, place] for name, each in metrics.items()}
                last = measured if step == steps[-1] else {}
                self.history.append(Scores(step, values, diverged_at[:, place], last))
        return self

    def release(self) -> None:
        """Forget the state of the lanes, which frees the memory of the device."""
        self.state = None

    def stop(self) -> None:
        """End the block here: all its lanes have stopped."""
        self.total_steps = self.queued_steps

    @property
    def is_complete(self) -> bool:
        """Whether all steps have been queued."""
        return self.queued_steps >= self.total_steps

    @property
    def is_finished(self) -> bool:
        """Whether all steps have been queued and all scores have been read."""
        return self.is_complete and not self._pending

    @property
    def new_diverged_lanes(self) -> int:
        """Number of lanes that have diverged since this run of the block began."""
        diverged = self.history[-1].diverged_at[: len(self.block.lanes)] >= 0
        return int(diverged.sum()) - self._diverged_before

    def curve(self, name: str, lane: int) -> list[float]:
        """Return the recorded values of a metric of one lane.

        Args:
          name: column of the record.
          lane: place of the lane in the block.
        """
        values: list[float] = []
        for scores in self.history:
            if name in scores.metrics:
                values += np.ravel(scores.metrics[name][lane]).tolist()
            else:
                values.append(math.nan)
        return values

    @property
    def columns(self) -> list[str]:
        """The columns of the metrics that were recorded."""
        return list(dict.fromkeys(name for scores in self.history for name in scores.metrics))


def column_names(part: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics by column: with the part of the data before a name that has none.

    Args:
      part: `train`, `validation` or `test`.
      metrics: values by name.

    >>> column_names("train", {"loss": 1, "test_loss": 2})
    {'train_loss': 1, 'test_loss': 2}
    """
    return {
        name if name.startswith(METRIC_PREFIXES) else f"{part}_{name}": value
        for name, value in metrics.items()
    }
