"""The training of the blocks of a group in all slots of this process."""

from collections.abc import Callable, Mapping

from jinit.sweep.block import BlockRun, Lane
from jinit.sweep.block_feed import BlockFeed
from jinit.sweep.group_training import GroupTraining
from jinit.sweep.memory import is_exhausted
from jinit.sweep.prepared_block import PreparedBlock
from jinit.sweep.progress import ProgressReporter
from jinit.sweep.saved_lanes import SavedLane
from jinit.sweep.slot_threads import SlotThreads

_STOP_SECONDS = 30.0
"""Most seconds to wait for the present calls of the devices when a sweep is interrupted."""


class SlotTraining:
    """The training of the blocks of a group, in as many slots as this process has.

    Args:
      training: the group, compiled.
      feed: its blocks.
      progress: counts what was trained.
      finish: records a finished block; returns whether its records are written, and not only
        those of a part of it.
      rung: number of the rung up to which blocks are trained.
      saved: lanes as they were saved at the rung before; None at the first one.
      checkpoint_seconds: seconds from one checkpoint of a block to the next; None for no
        checkpoints.
    """

    def __init__(
        self,
        training: GroupTraining,
        feed: BlockFeed,
        progress: ProgressReporter,
        finish: Callable[[BlockRun], bool],
        *,
        rung: int = 0,
        saved: Mapping[Lane, SavedLane] | None = None,
        checkpoint_seconds: float | None = None,
    ) -> None:
        self._training, self._feed, self._progress = training, feed, progress
        self._finish, self._rung, self._saved = finish, rung, saved
        self._checkpoint_seconds = checkpoint_seconds

    def run(self, give_sign: Callable[[], None]) -> None:
        """Train all blocks of the feed; with fewer lanes at once if memory is exhausted.

        If this is interrupted, the devices end their present calls, for which it waits half a
        minute at most, blocks that are finished by then are recorded, and others are saved.

        Args:
          give_sign: called about once per second.
        """
        while True:
            try:
                self._run(give_sign)
            except RuntimeError as error:
                if not is_exhausted(error) or not self._training.shrink():
                    raise
                for block in self._feed.taken:  # their checkpoints are of the wider layout
                    if self._checkpoints is not None:
                        self._checkpoints.remove(block)
                self._feed.shrink(self._training.layout)
            else:
                return

    def _run(self, give_sign: Callable[[], None]) -> None:
        training, stop = self._training, self._training.context.stop
        stop.clear()
        self._progress.begin_training()
        self._busy: set[int] = set()
        self._checkpoints = None
        if self._checkpoint_seconds is not None:
            self._checkpoints = training.checkpoints(self._checkpoint_seconds)
        threads = SlotThreads(training.trainers(self._rung, self._checkpoints), stop)
        try:
            for recording in threads.recordings(self._prepare_next, give_sign):
                counted = 0 if self._saved is None else recording.block_run.first_step
                self._progress.note(recording, counted)
                if recording.is_finished:
                    self._end_block(recording.block_run)
        finally:
            for block_run in threads.end(_STOP_SECONDS):
                self._end_block(block_run)

    def _prepare_next(self, slot: int) -> PreparedBlock | None:
        block = self._feed.take()
        if block is None:
            return None
        self._busy.add(slot)
        return self._training.prepare(block, slot, self._saved, self._checkpoints)

    def _end_block(self, block_run: BlockRun) -> None:
        block_run.run_seconds /= len(self._busy)
        is_written = self._finish(block_run)
        self._feed.finish(block_run.block, is_written=is_written)
        if self._checkpoints is not None:
            self._checkpoints.remove(block_run.block)
