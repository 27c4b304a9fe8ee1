"""The progress of a sweep."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from jinit.report import progress_line
from jinit.sweep.block import Block
from jinit.sweep.slot_threads import Recording


@dataclass(frozen=True)
class Progress:
    """The progress of a sweep."""

    stage: str
    """Stage of the sweep, such as `training`."""
    lane_steps: int
    """Lane-steps trained so far."""
    total_lane_steps: int
    """Lane-steps of the whole sweep."""
    training_seconds: float
    """Seconds spent on training so far."""
    elapsed_seconds: float
    """Seconds since the sweep began, with tracing and compilation."""
    diverged_lanes: int
    """Lanes that have diverged so far."""

    def __str__(self) -> str:
        return progress_line(self)


class ProgressReporter:
    """Counts what a sweep has done, and reports it.

    Args:
      total_lane_steps: lane-steps of the whole sweep.
      report: called with the progress.
    """

    def __init__(self, total_lane_steps: int, report: Callable[[Progress], None]) -> None:
        self._report, self._begin_time = report, time.perf_counter()
        self._progress = Progress("tracing", 0, total_lane_steps, 0.0, 0.0, 0)
        self._lane_steps = self._diverged = 0  # of finished blocks
        self._seconds = 0.0  # before the blocks that are trained now
        self._training_since = self._begin_time
        self._in_training: dict[Block, tuple[int, int]] = {}

    def show(self, stage: str | None = None) -> None:
        """Report the progress.

        Args:
          stage: the stage that begins; None if it is the same.
        """
        if stage is not None:
            self.rename(stage)
        self._update()

    def rename(self, stage: str) -> None:
        """Change the stage, which is reported later.

        Args:
          stage: the stage.
        """
        self._progress = replace(self._progress, stage=stage)

    def add_finished(self, lane_steps: int) -> None:
        """Count lane-steps that an earlier run has trained.

        Args:
          lane_steps: their number.
        """
        self._lane_steps += lane_steps
        self._progress = replace(self._progress, lane_steps=self._lane_steps)

    def begin_training(self) -> None:
        """Count seconds as those of training from now on, and no block as begun."""
        self._seconds = self._progress.training_seconds
        self._training_since = time.perf_counter()
        self._in_training = {}

    def note(self, recording: Recording, first_step: int) -> None:
        """Count and report what a block has trained.

        Args:
          recording: the block after one of its recordings.
          first_step: steps of its lanes that are counted already.
        """
        block_run = recording.block_run
        block, last = block_run.block, recording.step
        if recording.is_finished:
            last = block_run.planned_steps
        done = (last - first_step) * len(block.lanes), recording.diverged_lanes
        self._in_training[block] = done
        if recording.is_finished:
            del self._in_training[block]
            self._lane_steps += done[0]
            self._diverged += done[1]
        running = self._in_training.values()
        self._update(
            stage="training",
            lane_steps=self._lane_steps + sum(steps for steps, _ in running),
            diverged_lanes=self._diverged + sum(lanes for _, lanes in running),
            training_seconds=self._seconds + time.perf_counter() - self._training_since,
        )

    def _update(self, **changes: Any) -> None:
        elapsed = time.perf_counter() - self._begin_time
        self._progress = replace(self._progress, elapsed_seconds=elapsed, **changes)
        self._report(self._progress)
