"""The records of the blocks of a group, from a finished block to its file."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinit.sweep.block import BlockRun
from jinit.sweep.finished_lanes import FinishedLanes
from jinit.sweep.group_starts import GroupStarts
from jinit.sweep.groups import Group
from jinit.sweep.lane_records import lane_records
from jinit.sweep.params_store import ParamsStore
from jinit.sweep.run_context import RunContext
from jinit.sweep.store import BlockStore
from jinit.sweep.waiting import Waiting

_Rows = list[dict[str, Any]]


class BlockWriter:
    """Writes the records of the blocks of a group, and saves parameters.

    Args:
      number: number of the group.
      group: the group.
      context: what all groups share.
      store: where records are written.
      params_store: where parameters are saved.
      finished: lanes that were recorded before.
    """

    def __init__(
        self,
        number: int,
        group: Group,
        context: RunContext,
        store: BlockStore,
        params_store: ParamsStore,
        finished: FinishedLanes,
    ) -> None:
        self._number, self._group, self._context = number, group, context
        self._store, self._params_store, self._finished = store, params_store, finished
        self._parts: dict[int, dict[int, _Rows]] = {}

    def begin(self, starts: GroupStarts, columns: Mapping[str, Any], waiting: Waiting) -> None:
        """Use these from now on.

        Args:
          starts: the diagnoses of the initial states.
          columns: columns that all lanes have.
          waiting: gives signs of life.
        """
        self._starts, self._columns, self._waiting = starts, columns, waiting

    def write_block(self, block_run: BlockRun, lanes: int) -> bool:
        """Write the records of a block once all its parts are there; return whether they are.

        Args:
          block_run: the block, or a part of it.
          lanes: number of lanes of the whole block.
        """
        block, places = block_run.block, range(len(block_run.block.lanes))
        self._params_store.add(block_run, places, self._group.program.trial)
        parts = self._parts.setdefault(block.number, {})
        parts[block.first] = self._rows(block_run, places)
        rows = [row for _, part in sorted(parts.items()) for row in part]
        if len(rows) < lanes:
            return False
        del self._parts[block.number]
        self._store.write_block(block.whole_name(self._number), rows)
        return True

    def write_lanes(self, block_run: BlockRun, places: Sequence[int]) -> None:
        """Write the records of lanes whose race has ended, if they were not recorded before.

        Args:
          block_run: the block.
          places: places of the lanes in the block.
        """
        self._params_store.add(block_run, places, self._group.program.trial)
        lanes, seeds = block_run.block.lanes, self._context.seeds
        new = [place for place in places if not self._finished.has(lanes[place], seeds)]
        if new:
            self._store.write_block(self._store.free_name(self._number), self._rows(block_run, new))

    def _rows(self, block_run: BlockRun, places: Sequence[int]) -> _Rows:
        found, context = [], self._context
        for place in places:
            self._waiting.give_sign()  # judging initializations may take a while
            found.append(self._starts.columns(block_run.block.lanes[place]))
        patience, steps = context.patience, context.rungs[-1]
        records = lane_records(block_run, places, context.seeds, patience, steps)
        common = {**self._columns, "run_seconds": block_run.run_seconds}
        return [row | each | common for row, each in zip(records, found, strict=True)]
