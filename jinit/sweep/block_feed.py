"""The blocks of a group that are still to be trained."""

from collections import deque
from collections.abc import Iterable

from jinit.sweep.block import Block
from jinit.sweep.layout import BlockLayout


class BlockFeed:
    """Blocks that are taken one by one, and remembered until they are finished.

    A block with more lanes than the layout is taken in parts.

    Args:
      blocks: the blocks, in order.
      layout: the layout of lanes that fits into memory.
    """

    def __init__(self, blocks: Iterable[Block], layout: BlockLayout) -> None:
        self._waiting, self._layout = deque(blocks), layout
        self._taken: dict[Block, None] = {}

    def take(self) -> Block | None:
        """Return the next block or part; None if there is none."""
        block = self._waiting.popleft() if self._waiting else self._find()
        if block is None:
            return None
        first, *others = _divide(block, self._layout)
        self._waiting.extendleft(reversed(others))
        self._taken[first] = None
        return first

    @property
    def taken(self) -> tuple[Block, ...]:
        """The blocks and parts that were taken and are not finished."""
        return tuple(self._taken)

    def finish(self, block: Block, *, is_written: bool) -> None:
        """Note that a block or part is finished.

        Args:
          block: the block.
          is_written: whether the records of the whole block are written.
        """
        del self._taken[block]

    def shrink(self, layout: BlockLayout) -> None:
        """Take the blocks that were not finished again, in smaller parts.

        Args:
          layout: the layout of lanes that fits into memory.
        """
        self._waiting.extendleft(reversed(self._taken))
        self._taken, self._layout = {}, layout

    def _find(self) -> Block | None:
        """Return a block that is not known yet; None if there is none."""
        return None


def _divide(block: Block, layout: BlockLayout) -> list[Block]:
    """Return the parts of a block, each with as many lanes as a layout has."""
    size, lanes = layout.block_lanes, block.lanes
    return [
        Block(block.number, lanes[place : place + size], block.first + place)
        for place in range(0, len(lanes), size)
    ]
