"""The leases that were listed last, and which of them are abandoned."""

from collections.abc import Callable, Iterable, Iterator

from jinit.sweep.lease_files import LeaseFiles
from jinit.sweep.worker_heartbeats import WorkerHeartbeats


class ListedLeases:
    """The knowledge of one worker about the leases of all.

    A lease never changes, so that it is read once, and once more before it is taken over.

    Args:
      files: the lease files.
      heartbeats: the heartbeats of all workers.
      worker: name of this worker.
      lease_seconds: time after which a lease that cannot be read is abandoned.
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
        self._files, self._heartbeats = files, heartbeats
        self._worker, self._lease_seconds, self._clock = worker, lease_seconds, clock
        self._generations: dict[str, list[int]] = {}
        # The holder of a lease, None if the file names no worker, and when it was read.
        self._holders: dict[tuple[str, int], tuple[str | None, float]] = {}

    @property
    def blocks(self) -> dict[str, list[int]]:
        """The generations of the leases of each block that has any, in ascending order."""
        return self._generations

    def look(self) -> None:
        """List the leases, and forget all that are not the last one of their block."""
        self._generations = self._files.generations()
        lasts = {(block, each[-1]) for block, each in self._generations.items()}
        self._holders = {lease: holder for lease, holder in self._holders.items() if lease in lasts}

    def note(self, block: str, generation: int) -> None:
        """Note that there is a lease that was not listed.

        Args:
          block: the block.
          generation: generation of the lease.
        """
        self._generations.setdefault(block, []).append(generation)

    def abandoned(self, blocks: Iterable[str], reads: int) -> Iterator[tuple[str, int]]:
        """Yield leased blocks whose holders are lost, and the generations of their leases.

        Args:
          blocks: blocks that have leases.
          reads: leases that are read at most, in addition to those that were read before.
        """
        for block in blocks:
            lease = block, self._generations[block][-1]
            is_known = lease in self._holders
            if is_known or reads > 0:
                reads -= not is_known
                if self._is_abandoned(lease):
                    yield lease

    def holder(self, block: str, generation: int) -> str | None:
        """Return the worker that a lease named when it was read; None if it named none.

        Args:
          block: the block.
          generation: generation of the lease.
        """
        return self._holders.get((block, generation), (None, 0.0))[0]

    def _is_abandoned(self, lease: tuple[str, int]) -> bool:
        if lease not in self._holders:
            self._holders[lease] = self._files.read_holder(*lease), self._clock()
        if not self._is_lost(*self._holders[lease]):
            return False
        # The file may have been removed and created again since it was read, by another worker.
        holder = self._files.read_holder(*lease)
        if holder == self._holders[lease][0]:
            return True
        self._holders[lease] = holder, self._clock()
        return False

    def _is_lost(self, holder: str | None, read_at: float) -> bool:
        """Return whether a holder is lost, or a lease has named no worker for `lease_seconds`.

        A lease of this worker is listed for others to train only if it does not know about it: it
        was created, and the answer was lost.
        """
        if holder is None:
            return self._clock() - read_at >= self._lease_seconds
        return holder == self._worker or self._heartbeats.is_lost(holder)
