"""One group on the devices: the training of its blocks of lanes."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jinit.sweep.batches import Batches
from jinit.sweep.block import Block, BlockRun, Lane, Scores, column_names
from jinit.sweep.data import Data
from jinit.sweep.group_programs import GroupPrograms
from jinit.sweep.groups import Group
from jinit.sweep.initial_states import InitialStates
from jinit.sweep.lane_program import LaneState, Recorded, first_lane_states
from jinit.sweep.lanes import lane_sharding, pad_lanes
from jinit.sweep.layout import BlockLayout
from jinit.sweep.loop_programs import LoopPrograms
from jinit.sweep.patience import Patience
from jinit.sweep.saved_lanes import SavedLane, stack_histories, stack_lanes


@dataclass(frozen=True, eq=False)
class RunContext:
    """Data and settings that all groups of a sweep share."""

    data: Data | None
    parts: Mapping[str, Any]
    """The arrays of the data on the devices."""
    mesh: Mesh
    seeds: np.ndarray
    data_seed: int | None
    """Seed of the order of the data and of the keys of the steps; None for that of each lane."""
    rungs: tuple[int, ...]
    """Steps after which configurations may be eliminated; the last one is that of all steps."""
    record_every: int
    steps_per_call: int
    patience: Patience
    wait: Callable[[Any], None]
    """Waits until arrays are computed."""

    @property
    def data_seeds(self) -> np.ndarray:
        """The seed of the order of the data, by seed of the sweep."""
        if self.data_seed is None:
            return self.seeds
        return np.full_like(self.seeds, self.data_seed)

    def recordings(self, rung: int) -> tuple[int, ...]:
        """Return the steps from one recording to the next, up to a rung.

        Args:
          rung: number of the rung, counted from 0.
        """
        first = self.rungs[rung - 1] if rung else 0
        full, rest = divmod(self.rungs[rung] - first, self.record_every)
        return (self.record_every,) * full + ((rest,) if rest else ())

    def calls(self, steps: int) -> tuple[tuple[int, bool], ...]:
        """Return the steps of the calls until the next recording; lanes are scored after the last.

        Args:
          steps: steps until the next recording.
        """
        full, rest = divmod(steps, self.steps_per_call)
        counts = [self.steps_per_call] * full + ([rest] if rest else [])
        return tuple((count, place == len(counts)) for place, count in enumerate(counts, 1))


class LaneInputs(NamedTuple):
    """The lanes of a block on the devices, before their first step."""

    lane: LaneState
    numbers: dict[str, jax.Array]
    seeds: jax.Array


class _Call(NamedTuple):
    """One call of the training program."""

    steps: int
    is_scored: bool
    indices: jax.Array | None
    stream: Any


class GroupRun:
    """The training of the blocks of a group."""

    def __init__(self, group: Group, layout: BlockLayout, context: RunContext) -> None:
        self.group, self.layout, self.context = group, layout, context
        self.initial_states = InitialStates(group, context.seeds)
        self._batches = None
        if group.batch_size is not None and context.data is not None:
            seeds, examples = context.data_seeds, context.data.examples
            self._batches = Batches(seeds, examples, group.batch_size)
        recordings = [
            each for rung in range(len(context.rungs)) for each in context.recordings(rung)
        ]
        calls = tuple(call for each in sorted(set(recordings)) for call in context.calls(each))
        self._parts = context.parts
        programs = LoopPrograms if layout.is_loop else GroupPrograms
        self.programs = group.program.trial.programs.find(
            (group.kind, layout, context.mesh, calls, context.data),
            lambda: programs(group, layout, context.data, context.mesh, calls),
        )

    def train(
        self, blocks: Iterable[Block], rung: int = 0, saved: Mapping[Lane, SavedLane] | None = None
    ) -> Iterator[BlockRun]:
        """Train one block after the other, and yield a block after each of its recordings.

        While the device trains, Python prepares the next chunk of steps, even if it belongs to the
        next block, and reads the scores of the previous one. No program is queued while another
        one runs: XLA on CPU would then train 10 % slower, and starting a program takes only 2 % of
        its time.

        Args:
          blocks: the blocks, in order.
          rung: number of the rung up to which they are trained.
          saved: lanes as they were saved at the rung before; None at the first one.

        Yields:
          The block, whose scores have been read up to one of its recordings.
        """
        running: BlockRun | None = None
        for block in blocks:
            lanes, stream = self._draw_lanes(block, saved), self._chunks(rung)
            block_run: BlockRun | None = None
            if saved is not None:
                block_run = self._resume_block(block, lanes, rung, saved)
            for steps in self.context.recordings(rung):
                calls = self._prepare_calls(block, block_run, steps, stream)
                if running:
                    self.context.wait(running.state)
                if block_run is None:
                    block_run = self._begin_block(block, lanes)
                self._advance_block(block_run, lanes, calls)
                if running and running is not block_run:
                    yield running.read_pending()
                elif running and not running.read_pending(keep=1).is_finished:
                    yield running
                running = block_run
                if block_run.is_complete:
                    break
        if running:
            self.context.wait(running.state)
            yield running.read_pending()

    def time_call(self, block: Block) -> float:
        """Return the seconds of one call that trains a block from its beginning, compiled before.

        Args:
          block: the block.
        """
        lanes, steps = self._draw_lanes(block, None), self.context.rungs[0]
        (call,) = self._prepare_calls(block, None, steps, self._chunks(0))
        jax.block_until_ready((lanes, call.indices))
        for future in self.programs.pending:
            future.result()
        begin_time = time.perf_counter()
        results = self._call(call, lanes.lane, lanes)
        jax.block_until_ready(results)
        return time.perf_counter() - begin_time

    def time_scores(self, block: Block) -> float:
        """Return the seconds of scoring a block on validation data; 0 without any."""
        if not self.programs.has("validation"):
            return 0.0
        lanes = self._draw_lanes(block, None)
        seconds = 0.0
        for _ in range(2):  # the first call also moves data
            begin_time = time.perf_counter()
            jax.block_until_ready(self._evaluate("validation", lanes.lane, lanes))
            seconds = time.perf_counter() - begin_time
        return seconds

    def _draw_lanes(self, block: Block, saved: Mapping[Lane, SavedLane] | None) -> LaneInputs:
        if saved is None:
            state = self.initial_states.draw(block.lanes)
            lane = first_lane_states(state, len(block.lanes))
        else:
            lane = stack_lanes([saved[each].state for each in block.lanes])
        members, dtypes = [each.member for each in block.lanes], self.group.dtypes
        numbers = {
            name: np.array([member.numbers[name] for member in members], dtype)
            for name, dtype in dtypes.items()
        }
        seeds = self.context.data_seeds[block.seed_indices].astype(np.uint32)
        return LaneInputs(*self._put_lanes((lane, numbers, seeds)))

    def _begin_block(self, block: Block, lanes: LaneInputs) -> BlockRun:
        """Return the block with its scores before the first step, on validation and probe data."""
        block_run, metrics = BlockRun(block, lanes.lane, self.context.rungs[0]), {}
        diverged_at = None
        for part, kind in (("probe", "train"), ("validation", "validation")):
            if self.programs.has(part):
                block_run.state, recorded = self._evaluate(part, block_run.state, lanes)
                scores, diverged_at = recorded.validation, recorded.diverged_at
                if part == "probe":  # the metrics that steps have, too
                    names = self.programs.step_metrics
                    scores = {name: value for name, value in scores.items() if name in names}
                metrics |= column_names(kind, scores)
        if metrics:
            block_run.queue(block_run.state, Scores(0, metrics, diverged_at), 0)
            self.context.wait(diverged_at)
            block_run.read_pending()
        return block_run

    def _resume_block(
        self, block: Block, lanes: LaneInputs, rung: int, saved: Mapping[Lane, SavedLane]
    ) -> BlockRun:
        histories = [saved[lane].history for lane in block.lanes]
        return BlockRun(
            block,
            lanes.lane,
            self.context.rungs[rung],
            history=stack_histories(histories),
            queued_steps=self.context.rungs[rung - 1],
        )

    def _advance_block(self, block_run: BlockRun, lanes: LaneInputs, calls: list[_Call]) -> None:
        lane, recorded = block_run.state, []
        for call in calls:
            lane, each = self._call(call, lane, lanes)
            recorded.append(each)
        steps = [call.steps for call in calls]
        metrics = column_names("train", _mean_metrics(steps, [each.train for each in recorded]))
        metrics |= column_names("validation", recorded[-1].validation)
        done = block_run.queued_steps + sum(steps)
        scores = Scores(done, metrics, recorded[-1].diverged_at)
        block_run.queue(lane, scores, sum(steps))
        stopped = self._stop_lanes(block_run)
        is_last = block_run.queued_steps == self.context.rungs[-1] or stopped.all()
        if is_last and self.programs.has("test"):
            _, tested = self._evaluate("test", lane, lanes)
            block_run.test_metrics = column_names("test", tested.validation)

    def _call(self, call: _Call, lane: LaneState, lanes: LaneInputs) -> tuple[LaneState, Recorded]:
        arguments = (lane, lanes.numbers, lanes.seeds, call.indices)
        return self.programs.advance(
            call.steps, call.is_scored, arguments, self._parts, call.stream
        )

    def _evaluate(
        self, part: str, lane: LaneState, lanes: LaneInputs
    ) -> tuple[LaneState, Recorded]:
        return self.programs.evaluate(part, lane, lanes.numbers, self._parts)

    def _stop_lanes(self, block_run: BlockRun) -> np.ndarray:
        """Freeze the lanes that have stopped, and end the block if it has no others.

        Returns whether each lane has stopped.

        Without patience only diverged lanes stop, by the scores that have been read already.
        """
        patience = self.context.patience
        if patience.recordings is not None:
            self.context.wait(block_run.state)
            block_run.read_pending()
        stopped = patience.stopped_lanes(block_run)
        if stopped.all():
            block_run.stop()
        elif patience.recordings is not None:
            is_active = self._put_lanes(~stopped)
            block_run.state = block_run.state._replace(is_active=is_active)
        return stopped

    def _prepare_calls(
        self, block: Block, block_run: BlockRun | None, steps: int, stream: Iterator[Any]
    ) -> list[_Call]:
        first = 0 if block_run is None else block_run.queued_steps
        calls = []
        for count, is_scored in self.context.calls(steps):
            indices = None
            if self._batches is not None:
                examples = self._batches.example_indices(block.seed_indices, first, count)
                indices = self._put_lanes(examples)
            calls.append(_Call(count, is_scored, indices, next(stream)))
            first += count
        return calls

    def _chunks(self, rung: int) -> Iterator[Any]:
        """Yield the batches of every call of a block; None if the data is not a stream."""
        if self.context.data is None or not self.context.data.is_stream:
            return itertools.repeat(None)
        recordings = self.context.recordings(rung)
        lengths = [count for each in recordings for count, _ in self.context.calls(each)]
        skipped = self.context.rungs[rung - 1] if rung else 0
        return self.context.data.train.chunks(lengths, skipped)

    def _put_lanes(self, tree: Any) -> Any:
        """Return arrays of lanes on the devices, padded to the lanes of a block."""
        padded = jax.tree.map(lambda leaf: pad_lanes(leaf, self.layout.block_lanes), tree)
        return jax.device_put(padded, lane_sharding(self.context.mesh))


def _mean_metrics(steps: Sequence[int], metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the means over the steps of several calls."""
    if len(metrics) == 1:
        return dict(metrics[0])
    weighted = list(zip(steps, metrics, strict=True))
    total = sum(steps)
    return {name: sum(n * each[name] for n, each in weighted) / total for name in metrics[0]}
