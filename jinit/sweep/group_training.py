"""A group of a sweep from compilation to its records."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax

from jinit.record import LAYER_COLUMNS
from jinit.sweep.block import Block, BlockRun, Lane
from jinit.sweep.executor import Executor, parse_executor
from jinit.sweep.finished_lanes import FinishedLanes, lane_name
from jinit.sweep.group_run import GroupRun
from jinit.sweep.groups import Group
from jinit.sweep.initial_states import InitialStates
from jinit.sweep.lane_records import lane_records
from jinit.sweep.layout import BlockLayout, choose_layout, repeat_layout
from jinit.sweep.layout_timing import fitting_layout
from jinit.sweep.memory import device_bytes
from jinit.sweep.params_store import ParamsStore
from jinit.sweep.run_context import RunContext
from jinit.sweep.saved_lanes import SavedLane
from jinit.sweep.store import Store
from jinit.sweep.trial import Start
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
    """

    run: GroupRun
    layout: BlockLayout

    def __init__(
        self,
        number: int,
        group: Group,
        context: RunContext,
        store: Store,
        params_store: ParamsStore,
        origin: dict[str, Any],
        finished: FinishedLanes,
    ) -> None:
        self.number, self.group, self.context = number, group, context
        self._finished = finished
        self._store, self._params_store, self._origin = store, params_store, origin
        # Seeds outermost: an unfinished sweep has run all configurations equally often.
        pairs = itertools.product(range(len(context.seeds)), group.members)
        self.lanes = [Lane(member, seed_index) for seed_index, member in pairs]
        self.is_compiled = False

    def compile(self, lanes_per_block: int | None, executor: Executor, waiting: Waiting) -> None:
        """Choose the layout of the lanes, and compile the programs.

        Args:
          lanes_per_block: lanes of a block as the user asked for; None for the fastest layout.
          executor: how the lanes are computed, as the user asked for.
          waiting: waits for the compiler.
        """
        self._waiting = waiting
        begin_time = time.perf_counter()
        context = self.context
        self._initial_states = InitialStates(
            self.group, context.seeds, context.wait, context.announce
        )
        before = self._finished.executors.get(self.number)
        if before is None:
            layout = fitting_layout(
                self.group,
                self.lanes,
                self.context,
                lanes_per_block,
                executor,
                self._initial_states,
            )
        else:
            count, devices = len(self.lanes), self.context.layout_devices
            rule = choose_layout(self.group, count, devices, lanes_per_block, executor)
            layout = repeat_layout(rule, self.group, count, parse_executor(before))
            layout = replace(layout, devices=self.context.mesh.size)
        self._compile_layout(layout, begin_time)
        while (narrower := self._narrower_layout()) is not None:
            self._compile_layout(narrower, begin_time)
        self.is_compiled = True

    def shrink(self) -> bool:
        """Compile for half as many lanes per block; return False if it has one per device."""
        narrower = self.layout.halve()
        if narrower is not None:
            self._compile_layout(narrower, time.perf_counter())
        return narrower is not None

    def _narrower_layout(self) -> BlockLayout | None:
        """Return half the layout if the present one does not fit into memory."""
        programs = self.run.programs
        lanes = self.layout.device_tiles * self.layout.tile_lanes
        bound = device_bytes(self.context.mesh)
        if bound is None or programs.lane_bytes * lanes <= bound:
            return None
        return self.layout.halve()

    def _compile_layout(self, layout: BlockLayout, begin_time: float) -> None:
        self.layout = layout
        self.run = GroupRun(self.group, layout, self.context, self._initial_states)
        self._starts = _Starts(self.group, self._initial_states)
        pending = self.run.programs.pending
        if not all(future.done() for future in pending):
            self._starts.find(self.lanes[0])
        self._waiting.for_futures(pending)
        self._columns = {
            "group": self.number,
            "executor": str(layout),
            "lane_width": layout.tile_lanes,
            "compile_seconds": time.perf_counter() - begin_time,
            **self._origin,
        }

    def train(
        self, blocks: Iterable[Block], rung: int, saved: Mapping[Lane, SavedLane] | None
    ) -> Iterator[BlockRun]:
        """Train blocks as `GroupRun.train` does.

        The diagnoses of a block begin before the device trains it, which they would wait for, and
        are judged meanwhile.
        """
        return self.run.train(map(self._begin_starts, blocks), rung, saved)

    def _begin_starts(self, block: Block) -> Block:
        for lane in block.lanes:
            self._starts.begin(lane)
        return block

    def release(self) -> None:
        """Forget the programs: a process may not have those of hundreds of groups."""
        del self.run, self._starts, self._initial_states
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
            if not self._finished.has(lane, seeds) or lane_name(lane, seeds) in missing
        ]

    def split_blocks(self, lanes: Sequence[Lane]) -> Iterator[Block]:
        """Yield lanes in blocks, which are numbered on from those that were recorded before.

        Args:
          lanes: lanes of the group.
        """
        first, size = self._finished.block_counts.get(self.number, 0), self.layout.block_lanes
        for number, place in enumerate(range(0, len(lanes), size), first):
            yield Block(number, tuple(lanes[place : place + size]))

    def write(self, block_run: BlockRun, lanes: Iterable[int]) -> None:
        """Write the records of some lanes of a block, without those that were recorded before.

        Args:
          block_run: the block.
          lanes: their places in the block.
        """
        columns = self._columns | {"run_seconds": block_run.run_seconds}
        places = list(lanes)
        self._params_store.add(block_run, places, self.group.program.trial)
        all_lanes, seeds = block_run.block.lanes, self.context.seeds
        places = [each for each in places if not self._finished.has(all_lanes[each], seeds)]
        found = []
        for place in places:
            self._waiting.give_sign()  # judging initializations may take a while
            lane = block_run.block.lanes[place]
            seconds = self._initial_states.seconds(lane.member)
            found.append(_start_columns(self._starts.find(lane)) | {"init_seconds": seconds})
        context = self.context
        records = lane_records(
            block_run, places, context.seeds, context.patience, context.rungs[-1]
        )
        if places:
            self._store.write_block(
                [record | each | columns for record, each in zip(records, found, strict=True)]
            )


class _Starts:
    """The diagnoses of the initial states of a group; lanes with equal ones share one."""

    def __init__(self, group: Group, initial_states: InitialStates) -> None:
        self._group, self._initial_states = group, initial_states
        self._begun: dict[tuple, Start | Callable[[], Start]] = {}

    def begin(self, lane: Lane) -> None:
        """Begin the diagnosis of a lane, if the trial has one, without waiting for the device."""
        trial, member = self._group.program.trial, lane.member
        label = self._label(lane)
        if trial.diagnose is not None and label not in self._begun:
            stacked = self._initial_states.draw([(member, lane.seed_index)])
            state = jax.tree.map(lambda leaf: leaf[0], stacked)
            self._begun[label] = trial.diagnose(state, {**member.config, **member.numbers})

    def find(self, lane: Lane) -> Start | None:
        """Return the diagnosis of a lane; None if the trial has none."""
        self.begin(lane)
        label = self._label(lane)
        if callable(begun := self._begun.get(label)):
            begun = self._begun[label] = begun()
        return begun

    def _label(self, lane: Lane) -> tuple:
        start = self._initial_states.start(lane.member, lane.seed_index)
        return lane.member.init_fingerprint, start


def _start_columns(start: Start | None) -> dict[str, Any]:
    """Return the columns on a lane before its first step."""
    if start is None:
        return {"at_initialization": None, "layers": [], **{name: [] for name in LAYER_COLUMNS}}
    return {"at_initialization": start.verdict, "layers": list(start.layers), **start.statistics}
