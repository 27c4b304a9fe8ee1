"""Who holds the leases of blocks, and which of them are abandoned."""

from collections.abc import Callable, Mapping, Sequence

from jinit.sweep.lease_files import LeaseFiles
from jinit.sweep.worker_heartbeats import WorkerHeartbeats


class LeaseHolders:
    """What a worker knows about the holders of leases.

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
        # The holder of a lease, None if the file names no worker, and when it was read.
        self._holders: dict[tuple[str, int], tuple[str | None, float]] = {}

    def forget(self, generations: Mapping[str, Sequence[int]]) -> None:
        """Forget what is known about leases that are not the last ones of their blocks.

        Args:
          generations: generations of the leases of each block.
        """
        self._holders = {
            (block, generation): holder
            for (block, generation), holder in self._holders.items()
            if block in generations and generations[block][-1] == generation
        }

    def knows(self, block: str, generation: int) -> bool:
        """Return whether a lease has been read.

        Args:
          block: the block.
          generation: generation of the lease.
        """
        return (block, generation) in self._holders

    def is_abandoned(self, block: str, generation: int) -> bool:
        """Return whether the holder of a lease is lost.

        A lease of this worker that it does not know about is abandoned: creating it has failed
        on the way back. One that names no worker is abandoned if it has done so for
        `lease_seconds`.

        Args:
          block: the block.
          generation: generation of the lease.
        """
        lease = (block, generation)
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
        if holder is None:
            return self._clock() - read_at >= self._lease_seconds
        return holder == self._worker or self._heartbeats.is_lost(holder)
