"""Early stopping: lanes that have not improved for some recordings, or have diverged."""

import math
from dataclasses import dataclass

import numpy as np

from jinit.sweep.block import BlockRun


@dataclass(frozen=True)
class Patience:
    """The rule by which a lane stops.

    A lane stops at the first recording that shows its divergence, and, if `recordings` is given, at
    the first one at which its best value is that many recordings old.

    Args:
      recordings: number of recordings without improvement; None to wait for ever.
      column: column of the record that should improve.
      larger_is_better: whether more is better.

    >>> Patience(2, "loss", larger_is_better=False).find_stop([3.0, 2.0, 2.5, 2.1, 1.0])
    3
    """

    recordings: int | None
    column: str
    larger_is_better: bool

    def find_stop(self, values: list[float]) -> int | None:
        """Return the place of the recording at which patience ends; None if it does not.

        Args:
          values: recorded values of a lane, oldest first.
        """
        if self.recordings is None:
            return None
        sign = 1 if self.larger_is_better else -1
        best, place = -math.inf, 0
        for index, value in enumerate(values):
            if sign * value > best:
                best, place = sign * value, index
            elif index - place >= self.recordings:
                return index
        return None

    def stop(self, block_run: BlockRun, lane: int) -> int | None:
        """Return the place of the recording at which a lane stopped; None if it went on.

        Args:
          block_run: the block.
          lane: place of the lane in the block.
        """
        shown = [
            place for place, scores in enumerate(block_run.history) if scores.diverged_at[lane] >= 0
        ]
        stops = shown[:1]
        if self.recordings is not None:
            found = self.find_stop(block_run.curve(self.column, lane))
            stops += [] if found is None else [found]
        return min(stops, default=None)

    def stopped_lanes(self, block_run: BlockRun) -> np.ndarray:
        """Return whether each lane of a block has stopped, by the scores read so far.

        Args:
          block_run: the block.
        """
        lanes = range(len(block_run.block.lanes))
        if not block_run.history:
            return np.zeros(len(lanes), bool)
        return np.array([self.stop(block_run, lane) is not None for lane in lanes])
