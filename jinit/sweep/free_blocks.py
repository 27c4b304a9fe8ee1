"""The order in which a worker tries to lease blocks."""

import hashlib
import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence


class FreeBlocks:
    """Blocks that had no lease when the leases were listed, in the order of one worker.

    Each worker begins at a place of its own, so that many workers do not try the same block. It
    then goes on from block to block: neighbors often share a compiled program. Where it meets
    another worker, it jumps to another place.

    Args:
      worker: name of the worker, on which its places depend.
      memory_seconds: time for which a block that was found leased is left out, since listings of
        a network file system may not show its lease yet.
      clock: returns seconds and never goes back.

    >>> free = FreeBlocks("a", 60.0, lambda: 0.0)
    >>> free.line_up(["x", "y", "z"], leased=["y"])
    >>> sorted([free.next(), free.next()]), free.next()
    (['x', 'z'], None)
    """

    def __init__(self, worker: str, memory_seconds: float, clock: Callable[[], float]) -> None:
        digest = hashlib.sha256(worker.encode()).digest()
        self._place = int.from_bytes(digest[:6]) / 2**48
        self._random = random.Random(digest)
        self._memory_seconds, self._clock = memory_seconds, clock
        self._blocks: deque[str] = deque()
        self._taken: dict[str, float] = {}  # when a block that looked free was found leased

    def line_up(self, blocks: Iterable[str], leased: Collection[str]) -> None:
        """Begin anew with the blocks that are in no lease.

        Args:
          blocks: the blocks without records, in order.
          leased: the blocks that have leases.
        """
        now = self._clock()
        self._taken = {
            block: time
            for block, time in self._taken.items()
            if now - time < self._memory_seconds and block not in leased
        }
        place = self._blocks[0] if self._blocks else ""
        free = [block for block in blocks if block not in leased and block not in self._taken]
        self._blocks = deque(free if place in free else self.in_order(free))
        if place in free:
            self._blocks.rotate(-free.index(place))

    def in_order(self, blocks: Sequence[str]) -> list[str]:
        """Return blocks in their order, from the place of this worker on.

        Args:
          blocks: the blocks.
        """
        first = int(self._place * len(blocks))
        return [*blocks[first:], *blocks[:first]]

    def next(self) -> str | None:
        """Return the next block and take it out; None if there is none."""
        return self._blocks.popleft() if self._blocks else None

    def note_taken(self, block: str) -> None:
        """Note that a block has a lease of another worker, and go on at another place.

        Args:
          block: the block.
        """
        self._taken[block] = self._clock()
        self._blocks.rotate(-self._random.randrange(len(self._blocks) + 1))
