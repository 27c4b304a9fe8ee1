"""The blocks of a sweep that a worker leases from a directory that workers share."""

from collections.abc import Sequence

from jinit.sweep.block import Block
from jinit.sweep.block_feed import BlockFeed
from jinit.sweep.block_leases import BlockLeases
from jinit.sweep.group_training import GroupTraining
from jinit.sweep.store import Store


class LeasedBlocks:
    """The blocks of all groups whose layout is chosen, leased one by one.

    Args:
      leases: the leases of this worker.
      store: the directory of the sweep.
      trainings: the groups of the sweep.
    """

    def __init__(
        self, leases: BlockLeases, store: Store, trainings: Sequence[GroupTraining]
    ) -> None:
        self._leases, self._store = leases, store
        self._unknown = list(trainings)
        self._blocks: dict[str, tuple[GroupTraining, Block]] = {}
        self._next: tuple[GroupTraining, Block] | None = None

    @property
    def next_group(self) -> GroupTraining | None:
        """The group of the next block, which is leased now if none is; None if none is free."""
        if self._next is None:
            self._add_known_groups()
            name = self._leases.claim(self._list_unfinished, self._store.has_block)
            self._next = None if name is None else self._blocks[name]
        return None if self._next is None else self._next[0]

    @property
    def unknown_groups(self) -> Sequence[GroupTraining]:
        """The groups whose layout no worker has chosen yet."""
        return self._unknown

    @property
    def are_finished(self) -> bool:
        """Whether all blocks have their records, as far as was seen by the last claim."""
        return not self._unknown and not self._leases.unfinished

    def take(self, training: GroupTraining) -> Block | None:
        """Return the next block, if it is one of a group.

        Args:
          training: the group.
        """
        if self.next_group is not training or self._next is None:
            return None
        block, self._next = self._next[1], None
        return block

    def finish(self, training: GroupTraining, block: Block) -> None:
        """Give the lease of a block back, whose records are written.

        Args:
          training: its group.
          block: the block, or a part of it.
        """
        self._leases.finish(block.whole_name(training.number))

    def _add_known_groups(self) -> None:
        for training in tuple(self._unknown):
            if training.find_layout() is not None:
                self._unknown.remove(training)
                for block in training.split_blocks(training.lanes):
                    self._blocks[block.name(training.number)] = training, block

    def _list_unfinished(self) -> list[str]:
        groups = {training.number for training, _ in self._blocks.values()}
        written = set().union(*(self._store.blocks(group) for group in groups))
        return [name for name in self._blocks if name not in written]


class LeasedFeed(BlockFeed):
    """The blocks of one group, until the next one that is free belongs to another group.

    Args:
      training: the group, compiled.
      leased: the blocks of all groups.
    """

    def __init__(self, training: GroupTraining, leased: LeasedBlocks) -> None:
        super().__init__((), training.layout)
        self._training, self._leased = training, leased

    def finish(self, block: Block, *, is_written: bool) -> None:
        """Note that a block or part is finished, and give its lease back if it is written."""
        super().finish(block, is_written=is_written)
        if is_written:
            self._leased.finish(self._training, block)

    def _find(self) -> Block | None:
        return self._leased.take(self._training)
