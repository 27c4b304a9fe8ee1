"""Which worker trains which block of lanes, agreed on by files in a shared folder."""

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from jinit.sweep.free_blocks import FreeBlocks
from jinit.sweep.lease_files import LAST_GENERATION, LeaseFiles
from jinit.sweep.lease_holders import LeaseHolders
from jinit.sweep.shared_folder import SharedFolder
from jinit.sweep.worker_heartbeats import WorkerHeartbeats, WorkerStatus, is_worker_name

_BEATS_PER_LEASE = 4
_CLAIM_SHARE = 0.01
"""Share of its time for which a worker that waits looks for a block."""
_TRIES = 16
"""Blocks that one claim tries to lease: where listings lag, most of them may be gone."""
_TRIES_BEFORE_LISTING = 4
"""The same with a listing of an earlier claim."""
_READS = 32
"""Leases of other workers that one claim reads: many idle workers share this work."""

ListBlocks = Callable[[], Iterable[str]]
"""Returns the blocks without records."""
IsFinished = Callable[[str], bool]
"""Returns whether a block has its records by now."""


class BlockLeases:
    """The blocks that a worker trains, among any number of workers that share a folder.

    A worker holds a block by a lease, for as long as its heartbeats change. Another worker takes
    the block over if it has seen the heartbeat of the holder unchanged for `lease_seconds` on its
    own clock. No clock is compared with that of another machine, and no worker waits for another.

    Leases save work and do not guard it: a worker that pauses for longer than a lease and goes on
    trains a block that another one trains too. Both write equal records, and the first ones stay.

    `beat` must be called every `beat_seconds`, best where training makes progress: the blocks of a
    worker that hangs are then taken over.

    Args:
      folder: the shared folder.
      worker: name of this worker, which no other process has had: see `new_worker_name`.
      lease_seconds: silence after which a worker loses its blocks. It should be at least twice the
        time for which the file system may show old files: 60 seconds on NFS by default.
      clock: returns seconds and never goes back.

    Raises:
      ValueError: if the name or the number of seconds is not valid.

    >>> import tempfile
    >>> from jinit.sweep.directory_folder import DirectoryFolder
    >>> folder, records = DirectoryFolder(tempfile.mkdtemp()), set()
    >>> one, two = BlockLeases(folder, "one", 120.0), BlockLeases(folder, "two", 120.0)
    >>> blocks = ["000-000000", "000-000001"]
    >>> def unfinished():
    ...     return [block for block in blocks if block not in records]
    >>> first = one.claim(unfinished, records.__contains__)
    >>> second = two.claim(unfinished, records.__contains__)
    >>> sorted([first, second]) == blocks, two.claim(unfinished, records.__contains__)
    (True, None)
    >>> records.add(first)
    >>> one.finish(first)
    >>> one.leave()
    """

    def __init__(
        self,
        folder: SharedFolder,
        worker: str,
        lease_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not is_worker_name(worker):
            raise ValueError(
                f"{worker!r} cannot be the name of a worker; expected at most 100 letters, digits, "
                "'-' and '_', such as new_worker_name() returns"
            )
        if not 0 < lease_seconds < float("inf"):
            raise ValueError(f"lease_seconds={lease_seconds}: expected a positive number")
        self._worker, self._lease_seconds, self._clock = worker, lease_seconds, clock
        self._heartbeats = WorkerHeartbeats(folder, worker, lease_seconds, clock)
        self._files = LeaseFiles(folder)
        self._holders = LeaseHolders(self._files, self._heartbeats, worker, lease_seconds, clock)
        self._free = FreeBlocks(worker, lease_seconds, clock)
        self._random = random.Random(worker)
        self._held: dict[str, int] = {}  # generation of the lease of each block
        self._unfinished: dict[str, None] = {}  # in order, without those that are held
        self._listed: dict[str, list[int]] = {}  # generations of the leases of each block
        self._claim_seconds = 0.0
        self._looked_at = -float("inf")  # when heartbeats were looked at

    @property
    def beat_seconds(self) -> float:
        """Seconds between two heartbeats."""
        return self._lease_seconds / _BEATS_PER_LEASE

    def idle_seconds(self) -> float:
        """Return seconds until the next claim after one that found no block.

        They are drawn at random, since workers that wait for the same block would all ask again in
        the same moment, and are more where the last claim took long: many workers that wait must
        not keep a file server busy.
        """
        drawn = self._random.uniform(0.5, 1.0) * self.beat_seconds
        return max(drawn, min(self._claim_seconds / _CLAIM_SHARE, self._lease_seconds))

    def beat(self, status: Mapping[str, Any]) -> None:
        """Write a heartbeat. It may be called from another thread than everything else.

        Args:
          status: plain data about the worker, at most 64 KiB as JSON.

        Raises:
          ValueError: if another worker has the same name, or the status is too large.
        """
        self._heartbeats.beat(status)

    def claim(self, list_unfinished: ListBlocks, is_finished: IsFinished) -> str | None:
        """Lease one block that nobody trains.

        Args:
          list_unfinished: lists the blocks without records, in order. It is called seldom, and
            after the leases were listed.
          is_finished: looks whether a block has its records by now. It is called after the block
            was leased, so that one that was finished in between is not trained twice.

        Returns:
          The block; None if other workers hold all of them, as far as was seen. Then `unfinished`
          tells whether there are any: beat, and claim again after `idle_seconds()`.
        """
        if not self._heartbeats.has_begun:
            self.beat({})
        begin = self._clock()
        block = self._claim_free(_TRIES_BEFORE_LISTING, is_finished)
        if block is None:
            self._list_blocks(list_unfinished)
            block = self._claim_free(_TRIES, is_finished)
        # Heartbeats are looked at once per lease, to know who is lost when no block is free.
        if block is None or begin - self._looked_at >= self._lease_seconds:
            self._looked_at = begin
            self._heartbeats.look()
        if block is None:
            block = self._take_over(is_finished)
        if block is None:
            self._remove_leftovers(is_finished)
        self._claim_seconds = self._clock() - begin
        return block

    @property
    def unfinished(self) -> Collection[str]:
        """Blocks that had no records when they were listed last and are not known to be finished,
        without those that this worker holds."""
        return self._unfinished.keys()

    def holds(self, block: str) -> bool:
        """Return whether this worker still has a block, which another may have taken over.

        Args:
          block: a block that it has claimed and not finished.
        """
        generation = self._held.get(block)
        return (
            generation is not None
            and self._files.read_holder(block, generation) == self._worker
            and not self._files.exists(block, generation + 1)
        )

    def finish(self, block: str) -> None:
        """Remove the lease of a block whose records are written.

        Args:
          block: a block that this worker has claimed.

        Raises:
          ValueError: if it has not claimed the block.
        """
        if block not in self._held:
            raise ValueError(
                f"block {block!r} is finished without a lease; expected one that claim has "
                f"returned: {', '.join(self._held) or 'there is none now'}"
            )
        generation = self._held.pop(block)
        before = [each for each in self._listed.get(block, ()) if each < generation]
        self._files.remove(block, [*before, generation])

    def leave(self) -> None:
        """Give all blocks back that are not finished, and remove the heartbeat."""
        while self._held:
            block, generation = self._held.popitem()
            self._files.remove(block, [generation])
        self._heartbeats.leave()

    def workers(self) -> list[WorkerStatus]:
        """Return what each worker told with its last heartbeat, and for how long it is silent."""
        return self._heartbeats.statuses()

    def _list_blocks(self, list_unfinished: ListBlocks) -> None:
        """List leases and then records: what is finished in between is neither free nor held."""
        self._listed = self._files.generations()
        self._holders.forget(self._listed)
        self._unfinished = dict.fromkeys(list_unfinished())
        for block in self._held:
            self._unfinished.pop(block, None)
        self._free.line_up(self._unfinished, self._listed)

    def _claim_free(self, tries: int, is_finished: IsFinished) -> str | None:
        """Lease a block that had no lease when they were listed."""
        for _ in range(tries):
            block = self._free.next()
            if block is None or self._lease(block, 1, is_finished):
                return block
            self._free.note_taken(block)
        return None

    def _take_over(self, is_finished: IsFinished) -> str | None:
        """Lease a block whose holder is lost."""
        leased = [block for block in self._unfinished if block in self._listed]
        for block in self._abandoned(self._free.in_order(leased)):
            generation = self._listed[block][-1]
            if generation >= LAST_GENERATION:  # No worker has written this file.
                self._files.remove(block, [generation])
            elif self._lease(block, generation + 1, is_finished):
                return block
        return None

    def _abandoned(self, blocks: Iterable[str]) -> Iterator[str]:
        """Yield blocks whose holders are lost, as many as one claim tries."""
        reads = found = 0
        for block in blocks:
            generation = self._listed[block][-1]
            is_known = self._holders.knows(block, generation)
            if is_known or reads < _READS:
                reads += not is_known
                if self._holders.is_abandoned(block, generation):
                    yield block
                    if (found := found + 1) == _TRIES:
                        return

    def _lease(self, block: str, generation: int, is_finished: IsFinished) -> bool:
        """Lease a block, and return whether it is to be trained."""
        if not self._files.create(block, generation, self._worker):
            self._listed.setdefault(block, []).append(generation)
            return False
        # Records are written before the lease is removed: whoever could create a lease that was
        # removed for this reason sees them now.
        self._unfinished.pop(block, None)
        if is_finished(block):
            self._files.remove(block, [*self._listed.get(block, ()), generation])
            return False
        self._held[block] = generation
        return True

    def _remove_leftovers(self, is_finished: IsFinished) -> None:
        """Remove leases of finished blocks, whose workers were killed before they did so."""
        leftovers = [
            block
            for block in self._listed
            if block not in self._unfinished and block not in self._held
        ]
        for block in self._free.in_order(leftovers)[:_READS]:
            if is_finished(block):
                self._files.remove(block, self._listed[block])
