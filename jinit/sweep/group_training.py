"""A group of a sweep from compilation to its records."""

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import jax

from jinit.sweep.block import Block, BlockRun, Lane
from jinit.sweep.block_checkpoints import BlockCheckpoints
from jinit.sweep.block_writer import BlockWriter
from jinit.sweep.definition import SweepDefinition
from jinit.sweep.finished_lanes import FinishedLanes, lane_name
from jinit.sweep.group_run import GroupRun
from jinit.sweep.group_starts import GroupStarts
from jinit.sweep.groups import Group
from jinit.sweep.initial_states import InitialStates
from jinit.sweep.lane_program import first_lane_states
from jinit.sweep.layout import BlockLayout
from jinit.sweep.layout_timing import fitting_layout
from jinit.sweep.memory import slot_bytes
from jinit.sweep.params_store import ParamsStore
from jinit.sweep.prepared_block import PreparedBlock
from jinit.sweep.run_context import RunContext
from jinit.sweep.saved_lanes import SavedLane
from jinit.sweep.slot_threads import TrainBlocks
from jinit.sweep.store import BlockStore
from jinit.sweep.waiting import Waiting


class GroupTraining:
    """The training of a group, and the records of its lanes.

    Args:
      number: its place among the groups of the sweep.
      group: the group.
      context: what all groups share.
      store: where records are written.
      params_store: where parameters are saved.
      origin: columns of provenance.
      finished: lanes that were recorded before.
      study: text that names the sweep, for checkpoints.
    """

    runs: Sequence[GroupRun]
    """One per slot."""
    layout: BlockLayout

    def __init__(
        self,
        number: int,
        group: Group,
        context: RunContext,
        store: BlockStore,
        params_store: ParamsStore,
        origin: Mapping[str, Any],
        finished: FinishedLanes,
        study: str,
    ) -> None:
        self.number, self.group, self.context = number, group, context
        self._finished, self._store, self._params_store = finished, store, params_store
        self._origin, self._study = origin, study
        self._writer = BlockWriter(number, group, context, store, params_store, finished)
        # Seeds outermost: an unfinished sweep has run all configurations equally often.
        pairs = itertools.product(range(len(context.seeds)), group.members)
        self.lanes = [Lane(member, seed_index) for seed_index, member in pairs]
        self.is_compiled = False

    def find_layout(self) -> BlockLayout | None:
        """Read and return the layout of the lanes; None if it was not chosen yet."""
        agreed = self._store.read_layout(self.number)
        if agreed is not None:
            self._block_lanes = agreed.block_lanes
        return agreed

    def compile(self, sweep: SweepDefinition, waiting: Waiting) -> None:
        """Choose the layout of the lanes, and compile the programs.

        Args:
          sweep: the sweep, which may ask for a layout.
          waiting: waits for the compiler.
        """
        self._waiting, context, begin_time = waiting, self.context, time.perf_counter()
        self._initial_states = InitialStates(
            self.group, context.seeds, context.wait, context.announce
        )
        agreed = self._store.read_layout(self.number)
        layout = agreed or fitting_layout(
            self.group, self.lanes, context, sweep.lanes, sweep.executor, self._initial_states
        )
        self._compile_layout(layout, begin_time)
        while (narrower := self._narrower_layout()) is not None:
            self._compile_layout(narrower, begin_time)
        if agreed is None:
            agreed = self._store.agree_on_layout(self.number, self.layout)
            if agreed != self.layout:  # another process was faster
                self._compile_layout(agreed, begin_time)
        self._block_lanes = agreed.block_lanes
        self.is_compiled = True

    def shrink(self) -> bool:
        """Compile for half as many lanes per block; return False if it has one."""
        narrower = self.layout.halve()
        if narrower is not None:
            self._compile_layout(narrower, time.perf_counter())
        return narrower is not None

    def _narrower_layout(self) -> BlockLayout | None:
        """Return half the layout if the present one does not fit into memory."""
        bound = slot_bytes(self.context.slots)
        needed = self.runs[0].programs.lane_bytes * self.layout.block_lanes
        return None if bound is None or needed <= bound else self.layout.halve()

    def _compile_layout(self, layout: BlockLayout, begin_time: float) -> None:
        self.layout = layout
        self.runs = [
            GroupRun(self.group, layout, self.context, device, self._initial_states)
            for device in self.context.slots
        ]
        self._starts = GroupStarts(self.group, self._initial_states)
        pending = [future for run in self.runs for future in run.programs.pending]
        if not all(future.done() for future in pending):
            self._starts.columns(self.lanes[0])
        self._waiting.for_futures(pending)
        columns = {
            "group": self.number,
            "executor": str(layout),
            "lane_width": layout.tile_lanes,
            "compile_seconds": time.perf_counter() - begin_time,
            **self._origin,
        }
        self._writer.begin(self._starts, columns, self._waiting)

    def release(self) -> None:
        """Forget the programs: a process may not have those of hundreds of groups."""
        del self.runs, self._starts, self._initial_states
        self.is_compiled = False

    def unfinished(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Return the lanes that have no record yet, or whose parameters were not saved.

        Args:
          lanes: lanes of the group.
        """
        seeds, missing = self.context.seeds, self._params_store.missing
        return [
            lane
            for lane in lanes
            if not self._finished.has(lane, seeds)
            or (missing and lane_name(lane, seeds) in missing)
        ]

    def split_blocks(self, lanes: Sequence[Lane]) -> list[Block]:
        """Return lanes in blocks.

        Args:
          lanes: lanes of the group.
        """
        size = self._block_lanes
        starts = range(0, len(lanes), size)
        return [Block(count, tuple(lanes[at : at + size])) for count, at in enumerate(starts)]

    def checkpoints(self, seconds: float) -> BlockCheckpoints:
        """Return the checkpoints of the blocks of the group.

        Args:
          seconds: seconds from one checkpoint of a block to the next.
        """
        count = self.layout.block_lanes
        lane: Any = first_lane_states(self.group.state, 1)
        state = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), lane.state
        )
        others = [jax.ShapeDtypeStruct((count,), leaf.dtype) for leaf in lane[1:]]
        about = f"{self._study} {self.number} {self.layout!r}"
        structs = type(lane)(state, *others)
        return BlockCheckpoints(self._store.directory, self.number, about, structs, seconds)

    def prepare(
        self,
        block: Block,
        slot: int,
        saved: Mapping[Lane, SavedLane] | None,
        checkpoints: BlockCheckpoints | None,
    ) -> PreparedBlock:
        """Return a block with the states of its lanes, and begin to diagnose those.

        The diagnoses begin before the device trains the block, which they would wait for, and are
        judged meanwhile.

        Args:
          block: the block.
          slot: number of the slot that will train it.
          saved: lanes as they were saved at the rung before; None at the first one.
          checkpoints: the checkpoints of the group; None for none.
        """
        for lane in block.lanes:
            self._starts.begin(lane)
        checkpoint = None if checkpoints is None else checkpoints.read(block)
        return self.runs[slot].prepare(block, saved, checkpoint)

    def trainers(self, rung: int, checkpoints: BlockCheckpoints | None) -> list[TrainBlocks]:
        """Return a function per slot that trains blocks.

        Args:
          rung: number of the rung up to which they are trained.
          checkpoints: where unfinished blocks are saved; None for nowhere.
        """
        return [partial(run.train, rung=rung, checkpoints=checkpoints) for run in self.runs]

    def write_block(self, block_run: BlockRun) -> bool:
        """Write the records of a block, or keep those of a part until the others are there.

        Args:
          block_run: the block.

        Returns:
          Whether the records of the whole block are written.
        """
        first = block_run.block.number * self._block_lanes
        return self._writer.write_block(block_run, min(self._block_lanes, len(self.lanes) - first))

    def write_lanes(self, block_run: BlockRun, places: Sequence[int]) -> None:
        """Write the records of lanes whose race has ended.

        Args:
          block_run: the block.
          places: places of the lanes in the block.
        """
        self._writer.write_lanes(block_run, places)
