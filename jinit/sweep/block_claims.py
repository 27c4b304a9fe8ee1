"""How a worker finds a block that nobody trains."""

import itertools
from collections.abc import Callable, Iterable

from jinit.sweep.free_blocks import FreeBlocks
from jinit.sweep.lease_files import LAST_GENERATION, LeaseFiles
from jinit.sweep.listed_leases import ListedLeases
from jinit.sweep.worker_heartbeats import WorkerHeartbeats

_TRIES = 16
"""Blocks that one claim tries to lease: where listings lag, most of them may be gone."""
_TRIES_BEFORE_LISTING = 4
"""Blocks that one claim tries to lease after the listing of an earlier claim."""
_READS = 32
"""Leases that one claim reads where no block is free: many idle workers share this work."""
_READS_WHILE_FREE = 8
"""Leases that one claim reads, once per lease, while there are free blocks."""
_LEFTOVERS = 32
"""Finished blocks whose leases one claim removes."""

ListBlocks = Callable[[], Iterable[str]]
"""Returns the blocks without records."""
IsFinished = Callable[[str], bool]
"""Returns whether a block has its records by now."""


class BlockClaims:
    """The blocks that one worker holds, and what it knows about all others.

    Args:
      files: the lease files.
      heartbeats: the heartbeats of all workers.
      worker: name of this worker.
      lease_seconds: silence after which a worker loses its blocks.
      clock: returns seconds and never goes back.
    """

    def __init__(
        self,
        files: LeaseFiles,
        heartbeats: WorkerHeartbeats,
        worker: str,
        lease_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._files, self._heartbeats, self._worker = files, heartbeats, worker
        self._lease_seconds, self._clock = lease_seconds, clock
        self._listed = ListedLeases(files, heartbeats, worker, lease_seconds, clock)
        self._free = FreeBlocks(worker, lease_seconds, clock)
        self._looked_at = -float("inf")  # when heartbeats were looked at
        self.held: dict[str, int] = {}
        """Generation of the lease of each block that is held."""
        self.unfinished: dict[str, None] = {}
        """Blocks that had no records when they were listed, in order, without those that are held
        or were seen to be finished."""

    def claim(self, list_unfinished: ListBlocks, is_finished: IsFinished) -> str | None:
        """Lease a block that is free, or else one whose holder is lost.

        Args:
          list_unfinished: lists the blocks without records, in order.
          is_finished: looks whether a block has its records by now.

        Returns:
          The block; None if none was found.
        """
        block = self._take_over_early(is_finished) or self._claim_free(
            _TRIES_BEFORE_LISTING, is_finished
        )
        if block is None:
            self._list_blocks(list_unfinished)
            block = self._claim_free(_TRIES, is_finished)
        if block is None:
            self._look_at_heartbeats()
            block = self._take_over(_READS, is_finished)
        if block is None:
            self._remove_leftovers(is_finished)
        return block

    def finish(self, block: str) -> None:
        """Remove the lease of a block that is held, and those from which it was taken over.

        Args:
          block: the block, which has its records.
        """
        self._remove(block, self.held.pop(block))

    def give_back(self, block: str) -> None:
        """Remove the lease of a block that is held, so that others may take it.

        Args:
          block: the block.
        """
        self._files.remove(block, [self.held.pop(block)])

    def _remove(self, block: str, generation: int) -> None:
        former = (each for each in self._listed.blocks.get(block, ()) if each < generation)
        self._files.remove(block, [*former, generation])

    def _look_at_heartbeats(self) -> None:
        self._looked_at = self._clock()
        self._heartbeats.look()

    def _list_blocks(self, list_unfinished: ListBlocks) -> None:
        """List leases and then records: what is finished in between is not taken for free."""
        self._listed.look()
        self.unfinished = dict.fromkeys(list_unfinished())
        for block in self.held:
            self.unfinished.pop(block, None)
        self._free.line_up(self.unfinished, self._listed.blocks)

    def _claim_free(self, tries: int, is_finished: IsFinished) -> str | None:
        """Lease a block that had no lease when they were listed."""
        for _ in range(tries):
            block = self._free.next()
            if block is None or self._lease(block, 1, is_finished):
                return block
            self._free.note_taken(block)
        return None

    def _take_over_early(self, is_finished: IsFinished) -> str | None:
        """Once per lease, look for lost workers while there are free blocks.

        Long blocks are interrupted most often: they should not be the last ones to begin again.
        """
        if self._clock() - self._looked_at < self._lease_seconds:
            return None
        self._look_at_heartbeats()
        if not self._heartbeats.any_lost():
            return None
        self._listed.look()
        return self._take_over(_READS_WHILE_FREE, is_finished)

    def _take_over(self, reads: int, is_finished: IsFinished) -> str | None:
        """Lease a block whose holder is lost."""
        leased = [block for block in self.unfinished if block in self._listed.blocks]
        abandoned = self._listed.abandoned(self._free.in_order(leased), reads)
        for block, generation in itertools.islice(abandoned, _TRIES):
            if generation >= LAST_GENERATION:  # No worker has written this file.
                self._files.remove(block, [generation])
            elif self._lease(block, generation + 1, is_finished):
                self._heartbeats.remove_lost(self._listed.holder(block, generation))
                return block
        return None

    def _lease(self, block: str, generation: int, is_finished: IsFinished) -> bool:
        """Lease a block, and return whether it is to be trained."""
        if not self._files.create(block, generation, self._worker):
            self._listed.note(block, generation)
            return False
        self.unfinished.pop(block, None)
        # Records are written before the lease is removed: whoever could create a lease that was
        # removed for this reason sees them now.
        if is_finished(block):
            self._remove(block, generation)
            return False
        self.held[block] = generation
        return True

    def _remove_leftovers(self, is_finished: IsFinished) -> None:
        """Remove leases of finished blocks, whose workers were killed before they did so."""
        leftovers = [
            block
            for block in self._listed.blocks
            if block not in self.unfinished and block not in self.held
        ]
        for block in self._free.in_order(leftovers)[:_LEFTOVERS]:
            if is_finished(block):
                self._files.remove(block, self._listed.blocks[block])
