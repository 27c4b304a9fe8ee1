"""The tasks of a pool of processes: what a process of the pool does for a sweep.

A task is a function of values that can be pickled: the sweep, and the group, the layout and the
blocks to train. It writes no file, so that processes need not share one.
"""

import os
import platform
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jinit.model import PyTree
from jinit.sweep.block_feed import BlockFeed
from jinit.sweep.definition import SweepDefinition
from jinit.sweep.engine import SweepRun
from jinit.sweep.finished_lanes import FinishedLanes
from jinit.sweep.group_training import GroupTraining
from jinit.sweep.layout import BlockLayout
from jinit.sweep.params_store import FindParams, ParamsStore, RunRank
from jinit.sweep.recent import Recent
from jinit.sweep.slot_training import SlotTraining

Rows = Sequence[Mapping[str, Any]]


class PoolProcess(NamedTuple):
    """A process of a pool, and a sweep as it is computed there."""

    name: str
    """Host and number of the process."""
    slots: int
    """Number of blocks that it trains at the same time."""
    identity: Mapping[str, str]
    """The identity of the sweep."""
    origin: Mapping[str, Any]
    """Columns of provenance."""


class TrainedBlocks(NamedTuple):
    """Blocks that a process of a pool has trained."""

    process: PoolProcess
    records: Mapping[str, Rows]
    """Records by name of the block."""
    params: Sequence[tuple[RunRank, PyTree]]
    """Parameters of runs that may have to be saved."""


def describe_process(sweep: SweepDefinition, token: str) -> PoolProcess:
    """Return the process that runs this, and the identity of a sweep there.

    Args:
      sweep: the sweep.
      token: text that names this run of the sweep: what was compiled for it is used again.
    """
    with _turn:
        return _find_member(sweep, token).process


def choose_pool_layout(sweep: SweepDefinition, token: str, group: int) -> dict[str, Any]:
    """Return the layout of the lanes of a group that suits the process that runs this.

    Args:
      sweep: the sweep.
      token: as for `describe_process`.
      group: number of the group.
    """
    with _turn:
        return _find_member(sweep, token).compile(group, None).layout.to_dict()


def train_pool_blocks(
    sweep: SweepDefinition,
    token: str,
    group: int,
    layout: Mapping[str, Any],
    numbers: Sequence[int],
) -> TrainedBlocks:
    """Train blocks of a group, and return their records.

    Args:
      sweep: the sweep.
      token: as for `describe_process`.
      group: number of the group.
      layout: the layout of its lanes.
      numbers: the numbers of the blocks.
    """
    with _turn:
        return _find_member(sweep, token).train(group, BlockLayout.from_dict(layout), numbers)


def process_name() -> str:
    """Return a name of this process.

    >>> process_name() == process_name()
    True
    """
    return f"{platform.node()}:{os.getpid()}"


class _TaskStore:
    """Keeps the layout and the records of one task."""

    directory = Path()

    def __init__(self) -> None:
        self.layout: BlockLayout | None = None
        self.records: dict[str, Rows] = {}

    def read_layout(self, group: int) -> BlockLayout | None:
        return self.layout

    def agree_on_layout(self, group: int, layout: BlockLayout) -> BlockLayout:
        return layout

    def free_name(self, group: int) -> str:
        raise NotImplementedError("a task trains whole blocks")

    def write_block(self, name: str, records: Rows) -> None:
        self.records[name] = records


class _TaskParams(ParamsStore):
    """Keeps the parameters of one task."""

    def begin(self) -> None:
        self.kept: list[tuple[RunRank, PyTree]] = []

    def offer(self, rank: RunRank, find_params: FindParams) -> None:
        self.kept.append((rank, find_params()))


class _PoolMember:
    """A sweep in a process of a pool."""

    def __init__(self, sweep: SweepDefinition) -> None:
        self._run = SweepRun(sweep, lambda _: None)
        traced = self._run.trace()
        self._store = _TaskStore()
        self._params = _TaskParams(Path(), sweep.saved, traced.metric, np.array(sweep.seeds))
        self._trainings = self._run.make_trainings(
            traced, self._store, self._params, FinishedLanes()
        )
        slots = len(self._trainings[0].context.slots)
        self.process = PoolProcess(process_name(), slots, traced.identity, traced.origin)

    def compile(self, group: int, layout: BlockLayout | None) -> GroupTraining:
        training, self._store.layout = self._trainings[group], layout
        for other in self._trainings:
            if other.is_compiled and other is not training:
                other.release()
        if not training.is_compiled:
            self._run.compile(training, len(self._trainings))
        return training

    def train(self, group: int, layout: BlockLayout, numbers: Sequence[int]) -> TrainedBlocks:
        training = self.compile(group, layout)
        self._store.records = {}
        self._params.begin()
        blocks = training.split_blocks(training.lanes)
        feed = BlockFeed([blocks[number] for number in numbers], training.layout)
        slots = SlotTraining(training, feed, self._run.progress, training.write_block)
        slots.run(self._run.waiting.give_sign)
        return TrainedBlocks(self.process, self._store.records, self._params.kept)


_members: Recent[_PoolMember] = Recent()
_turn = threading.Lock()
"""Held by the task that runs: a process of Dask has several threads by default, and a task uses all
devices of the process."""


def _find_member(sweep: SweepDefinition, token: str) -> _PoolMember:
    return _members.find(token, lambda: _PoolMember(sweep))
