"""Which worker trains which block of lanes, agreed on by files in a shared folder."""

import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from jinit.sweep.block_claims import BlockClaims, IsFinished, ListBlocks
from jinit.sweep.lease_files import LeaseFiles
from jinit.sweep.shared_folder import SharedFolder
from jinit.sweep.worker_heartbeats import WorkerHeartbeats
from jinit.sweep.worker_status import WorkerStatus, is_worker_name

_BEATS_PER_LEASE = 4
_CLAIM_SHARE = 0.01
"""Share of its time for which a worker that waits looks for a block."""


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
        self._claims = BlockClaims(self._files, self._heartbeats, worker, lease_seconds, clock)
        self._claim_seconds = 0.0
        self._random = random.Random(worker)

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

        Raises:
          OSError: if the folder cannot be reached. Claiming again loses nothing.
        """
        if not self._heartbeats.has_begun:
            self.beat({})
        begin = self._clock()
        block = self._claims.claim(list_unfinished, is_finished)
        self._claim_seconds = self._clock() - begin
        return block

    @property
    def unfinished(self) -> Collection[str]:
        """Blocks that had no records when they were listed last and are not known to be finished,
        without those that this worker holds."""
        return self._claims.unfinished.keys()

    def holds(self, block: str) -> bool:
        """Return whether this worker still has a block, which another may have taken over.

        Args:
          block: a block that it has claimed and not finished.
        """
        generation = self._claims.held.get(block)
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
        if block not in self._claims.held:
            raise ValueError(
                f"block {block!r} is finished without a lease; expected one that claim has "
                f"returned: {', '.join(self._claims.held) or 'there is none now'}"
            )
        self._claims.finish(block)

    def leave(self) -> None:
        """Give all blocks back that are not finished, and remove the heartbeat."""
        for block in tuple(self._claims.held):
            self._claims.give_back(block)
        self._heartbeats.leave()

    def workers(self) -> list[WorkerStatus]:
        """Return what each worker told with its last heartbeat, and for how long it is silent."""
        return self._heartbeats.statuses()
