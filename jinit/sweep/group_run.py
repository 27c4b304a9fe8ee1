"""One group in one slot: the training of its blocks of lanes on one device."""

import itertools
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jinit.sweep.batches import Batches
from jinit.sweep.block import Block, BlockRun, Lane, Scores, column_names
from jinit.sweep.block_checkpoints import BlockCheckpoints, SavedBlock
from jinit.sweep.call_length import recordings_per_call
from jinit.sweep.group_programs import GroupPrograms
from jinit.sweep.groups import Group
from jinit.sweep.initial_states import InitialStates
from jinit.sweep.lane_program import LaneState, Recorded, TrainingCall, first_lane_states
from jinit.sweep.lanes import pad_lanes
from jinit.sweep.layout import BlockLayout
from jinit.sweep.loop_programs import LoopPrograms
from jinit.sweep.prepared_block import LaneInputs, PreparedBlock
from jinit.sweep.run_context import RunContext
from jinit.sweep.saved_lanes import SavedLane, stack_histories, stack_lanes


class _Batches(NamedTuple):
    """The examples of one call of the training program."""

    call: TrainingCall
    indices: jax.Array | None
    stream: Any


class GroupRun:
    """The training of blocks of a group in one slot.

    Args:
      group: the group.
      layout: the layout of its lanes.
      context: what all groups share.
      device: the device of the slot.
      initial_states: draws the initial states, which all slots and layouts of a group share; None
        for new ones.
    """

    def __init__(
        self,
        group: Group,
        layout: BlockLayout,
        context: RunContext,
        device: Any,
        initial_states: InitialStates | None = None,
    ) -> None:
        self.group, self.layout, self.context, self.device = group, layout, context, device
        self.initial_states = initial_states or InitialStates(
            group, context.seeds, context.wait, context.announce
        )
        self._batches = None
        if group.batch_size is not None and context.data is not None:
            seeds, examples = context.data_seeds, context.data.examples
            self._batches = Batches(seeds, examples, group.batch_size, bootstrap=context.bootstrap)
        most = recordings_per_call(group, layout, context, device.platform)
        self._plans = context.plans(most)
        calls = tuple(sorted({call for plan in self._plans for each in plan for call in each}))
        self._parts = context.parts[device]
        programs = LoopPrograms if layout.is_loop else GroupPrograms
        self.programs = group.program.trial.programs.find(
            (group.kind, layout, device, calls, context.data),
            lambda: programs(group, layout, context.data, device, calls),
        )
        if context.measure_at:
            self.programs.begin_measurement()

    def prepare(
        self,
        block: Block,
        saved: Mapping[Lane, SavedLane] | None = None,
        checkpoint: SavedBlock | None = None,
    ) -> PreparedBlock:
        """Return a block with the states of its lanes on the device.

        This traces and draws, and therefore runs in the thread of the sweep: settings of JAX may
        hold in that one only.

        Args:
          block: the block.
          saved: lanes as they were saved at the rung before; None at the first one.
          checkpoint: the block as an interrupted run has saved it; None for none.
        """
        history: tuple[Scores, ...] = ()
        if checkpoint is not None:
            lane, history = checkpoint.state, checkpoint.history
        elif saved is not None:
            lane = stack_lanes([saved[each].state for each in block.lanes])
            history = tuple(stack_histories([saved[each].history for each in block.lanes]))
        else:
            lane = first_lane_states(self.initial_states.draw(block.lanes), len(block.lanes))
        members, dtypes = [each.member for each in block.lanes], self.group.dtypes
        numbers = {
            name: np.array([member.numbers[name] for member in members], dtype)
            for name, dtype in dtypes.items()
        }
        seeds = self.context.data_seeds[block.seed_indices].astype(np.uint32)
        lanes = LaneInputs(*self._put_lanes((lane, numbers, seeds)))
        return PreparedBlock(block, lanes, history, history[-1].step if history else 0)

    def train(
        self,
        prepared: Iterable[PreparedBlock],
        rung: int = 0,
        checkpoints: BlockCheckpoints | None = None,
    ) -> Iterator[BlockRun]:
        """Train one block after the other, and yield a block after each of its recordings.

        While the device trains, Python prepares the next chunk of steps, even if it belongs to the
        next block, and reads the scores of the previous one. No program is queued while another
        one runs: XLA on CPU would then train 10 % slower, and starting a program takes only 2 % of
        its time. If the sweep is stopped, the block in training is saved after its present call.

        Args:
          prepared: the blocks, in order.
          rung: number of the rung up to which they are trained.
          checkpoints: where unfinished blocks are saved; None for nowhere.

        Yields:
          The block, whose scores have been read up to one of its recordings.
        """
        running: BlockRun | None = None
        for each in prepared:
            running = yield from self._train_block(each, rung, running, checkpoints)
            if self.context.stop.is_set():
                break
        if running is not None:
            jax.block_until_ready(running.state)
            running.read_pending()
            if checkpoints is not None and not running.is_finished:
                checkpoints.save(running)
            yield running

    def _train_block(
        self,
        prepared: PreparedBlock,
        rung: int,
        running: BlockRun | None,
        checkpoints: BlockCheckpoints | None,
    ) -> Generator[BlockRun, None, BlockRun | None]:
        """Train a block while the one before it may be running; return the one that runs then."""
        block, lanes, history, steps = prepared
        block_run = self._resume_block(prepared, rung) if history else None
        plan = self._plan_after(rung, steps)
        stream = self._chunks(plan, steps)
        for planned in plan:
            calls = self._prepare_calls(block, block_run, planned, stream)
            if running is not None:
                jax.block_until_ready(running.state)
            if self.context.stop.is_set():
                break
            if block_run is None:
                block_run = self._begin_block(block, lanes)
            elif checkpoints is not None and block_run is running:
                checkpoints.save_when_due(block_run)
            self._advance_block(block_run, lanes, calls)
            if running is not None and running is not block_run:
                yield running.read_pending()
            elif running is not None and not running.read_pending(keep=1).is_finished:
                yield running
            running = block_run
            if block_run.is_complete:
                break
        return running

    def time_call(self, prepared: PreparedBlock) -> float:
        """Return the seconds of one call that trains a block from its beginning, compiled before.

        Args:
          prepared: the block, whose lanes are used up.
        """
        block, lanes = prepared.block, prepared.lanes
        ((planned,),) = self._plans[0]
        (call,) = self._prepare_calls(block, None, (planned,), self._chunks(((planned,),), 0))
        jax.block_until_ready((lanes, call.indices))
        begin_time = time.perf_counter()
        results = self._call(call, lanes.lane, lanes)
        jax.block_until_ready(results)
        return time.perf_counter() - begin_time

    def time_scores(self, prepared: PreparedBlock) -> float:
        """Return the seconds of scoring a block on validation data; 0 without any.

        Args:
          prepared: the block.
        """
        names = self.programs.start_parts
        if "validation" not in names:
            return 0.0
        examples = {name: len(jax.tree.leaves(self._parts[name])[0]) for name in names}
        share = examples["validation"] / sum(examples.values())
        lanes, seconds = prepared.lanes, 0.0
        for _ in range(2):  # the first call also moves data
            begin_time = time.perf_counter()
            jax.block_until_ready(self._evaluate(names, lanes.lane, lanes))
            seconds = time.perf_counter() - begin_time
        return share * seconds

    def _begin_block(self, block: Block, lanes: LaneInputs) -> BlockRun:
        """Return the block with its scores before the first step, on validation and probe data."""
        block_run = BlockRun(block, lanes.lane, self.context.rungs[0])
        names = self.programs.start_parts
        if not names:
            return block_run
        state, recorded = self._evaluate(names, lanes.lane, lanes)
        scores = dict(zip(names, (each.validation for each in recorded), strict=True))
        # The probe stands for the first batch: it has the metrics that steps have.
        steps = self.programs.step_metrics
        probe = {name: each for name, each in scores.get("probe", {}).items() if name in steps}
        metrics = column_names("train", probe)
        metrics |= column_names("validation", scores.get("validation", {}))
        block_run.queue(state, metrics, recorded[-1].diverged_at, 0)
        return block_run.read_pending()

    def _resume_block(self, prepared: PreparedBlock, rung: int) -> BlockRun:
        return BlockRun(
            prepared.block,
            prepared.lanes.lane,
            self.context.rungs[rung],
            history=list(prepared.history),
            queued_steps=prepared.steps,
        )

    def _advance_block(self, block_run: BlockRun, lanes: LaneInputs, calls: list[_Batches]) -> None:
        lane, recorded = block_run.state, []
        for each in calls:
            lane, one = self._call(each, lane, lanes)
            recorded.append(one)
        steps = [each.call.all_steps for each in calls]
        metrics = column_names("train", _mean_metrics(steps, [each.train for each in recorded]))
        metrics |= column_names("validation", recorded[-1].validation)
        measured = {}
        if block_run.queued_steps + sum(steps) in self.context.measure_at:
            measured = self.programs.measure(lane, lanes.numbers, self._parts["first"])
        block_run.queue(
            lane, metrics, recorded[-1].diverged_at, sum(steps), calls[-1].call.recordings, measured
        )
        stopped = self._stop_lanes(block_run)
        is_last = block_run.queued_steps == self.context.rungs[-1] or stopped.all()
        if is_last and self.programs.has("test"):
            _, (tested,) = self._evaluate(("test",), lane, lanes)
            block_run.test_metrics = column_names("test", tested.validation)

    def _call(
        self, batches: _Batches, lane: LaneState, lanes: LaneInputs
    ) -> tuple[LaneState, Recorded]:
        arguments = (lane, lanes.numbers, lanes.seeds, batches.indices)
        return self.programs.advance(batches.call, arguments, self._parts, batches.stream)

    def _evaluate(
        self, parts: Sequence[str], lane: LaneState, lanes: LaneInputs
    ) -> tuple[LaneState, list[Recorded]]:
        return self.programs.evaluate(parts, lane, lanes.numbers, self._parts)

    def _stop_lanes(self, block_run: BlockRun) -> np.ndarray:
        """Freeze the lanes that have stopped, and end the block if it has no others.

        Returns whether each lane has stopped.

        Without patience only diverged lanes stop, by the scores that have been read already.
        """
        patience = self.context.patience
        if patience.recordings is not None:
            block_run.read_pending()
        stopped = patience.stopped_lanes(block_run)
        if stopped.all():
            block_run.stop()
        elif patience.recordings is not None:
            is_active = self._put_lanes(~stopped)
            block_run.state = block_run.state._replace(is_active=is_active)
        return stopped

    def _prepare_calls(
        self,
        block: Block,
        block_run: BlockRun | None,
        calls: Sequence[TrainingCall],
        stream: Iterator[Any],
    ) -> list[_Batches]:
        first = 0 if block_run is None else block_run.queued_steps
        prepared = []
        for call in calls:
            indices, steps = None, call.all_steps
            if self._batches is not None:
                examples = self._batches.example_indices(block.seed_indices, first, steps)
                indices = self._put_lanes(examples)
            prepared.append(_Batches(call, indices, next(stream)))
            first += steps
        return prepared

    def _plan_after(self, rung: int, steps: int) -> Sequence[Sequence[TrainingCall]]:
        """Return the calls up to a rung after some steps, which end one exchange with Python."""
        done = self.context.rungs[rung - 1] if rung else 0
        plan = list(self._plans[rung])
        while plan and done < steps:
            done += sum(call.all_steps for call in plan.pop(0))
        return plan

    def _chunks(self, plan: Sequence[Sequence[TrainingCall]], skipped: int) -> Iterator[Any]:
        """Yield the batches of every call of a block; None if the data is not a stream."""
        if self.context.data is None or not self.context.data.is_stream:
            return itertools.repeat(None)
        lengths = [call.all_steps for calls in plan for call in calls]
        return self.context.data.train.chunks(lengths, skipped)

    def _put_lanes(self, tree: Any) -> Any:
        """Return arrays of lanes on the device, padded to the lanes of a block."""
        padded = jax.tree.map(lambda leaf: pad_lanes(leaf, self.layout.block_lanes), tree)
        return jax.device_put(padded, self.device)


def _mean_metrics(steps: Sequence[int], metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the means over the steps of several calls."""
    if len(metrics) == 1:
        return dict(metrics[0])
    weighted = list(zip(steps, metrics, strict=True))
    total = sum(steps)
    return {name: sum(n * each[name] for n, each in weighted) / total for name in metrics[0]}
