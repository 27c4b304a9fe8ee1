"""One group on the devices: its compiled programs, and the training of its blocks of lanes."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jinit.model.params import PyTree
from jinit.sweep.batches import Batches
from jinit.sweep.block import Block, BlockRun
from jinit.sweep.groups import Group
from jinit.sweep.initial_diagnoses import InitialDiagnoses
from jinit.sweep.initial_parameters import InitialParameters
from jinit.sweep.lanes import lane_sharding, map_lanes, pad_lanes, replicated_sharding
from jinit.sweep.layout import BlockLayout
from jinit.sweep.tasks import Task
from jinit.sweep.trial import TaskData


@dataclass(frozen=True, eq=False)
class RunContext:
    """Data and settings that all groups of a sweep share."""

    task: Task
    mesh: Mesh
    seeds: np.ndarray
    chunk_lengths: tuple[int, ...]
    """Steps from one recording to the next."""


class _LaneInputs(NamedTuple):
    """Initial parameters and traced numbers of the lanes of a block."""

    params: PyTree
    hyperparameters: dict[str, jax.Array]


class GroupRun:
    """The compiled programs of a group, which train its blocks."""

    def __init__(
        self,
        group: Group,
        layout: BlockLayout,
        context: RunContext,
        diagnoses: InitialDiagnoses | None,
    ) -> None:
        self.group, self.layout, self.context = group, layout, context
        self.diagnoses = diagnoses
        self.initial_parameters = InitialParameters(context.seeds, group.members)
        task = context.task
        self._batches = Batches(context.seeds, len(task.train[0]), group.batch_size)
        data = TaskData(*task.train, *task.validation)
        self.data = jax.device_put(data, replicated_sharding(context.mesh))
        begin_time = time.perf_counter()
        self._compile_programs()
        self.compile_seconds = time.perf_counter() - begin_time

    def train(self, blocks: Iterable[Block]) -> Iterator[tuple[BlockRun, int]]:
        """Train one block after the other, and yield a block after each of its recordings.

        While the device trains, Python prepares the next chunk of steps, even if it belongs to the
        next block, and reads the scores of the previous chunk. No program is queued while another
        one runs: XLA on CPU would then train 10 % slower, and starting a program takes only 2 % of
        its time.

        Args:
          blocks: the blocks, in order.

        Yields:
          The block, and the number of steps that its new scores cover.
        """
        running: BlockRun | None = None
        for block in blocks:
            inputs, done = self._draw_lane_inputs(block), 0
            block_run: BlockRun | None = None
            for steps in self.context.chunk_lengths:
                examples = self._batches.example_indices(block.seed_indices, done, steps)
                batches = self._put_lanes(examples)
                if running:
                    jax.block_until_ready(running.state)
                if not block_run:
                    block_run = self._begin_block(block, inputs)
                self._advance_block(block_run, steps, inputs, batches)
                if running:
                    yield running, running.read_scores()
                running, done = block_run, done + steps
        if running:
            yield running, running.read_scores()

    def _begin_block(self, block: Block, inputs: _LaneInputs) -> BlockRun:
        results = self._begin(inputs.params, inputs.hyperparameters, self.data)
        return BlockRun(block, *jax.block_until_ready(results))

    def _advance_block(
        self, block_run: BlockRun, steps: int, inputs: _LaneInputs, batches: jax.Array
    ) -> None:
        advance = self._advance[steps]
        state, scores = advance(block_run.state, inputs.hyperparameters, batches, self.data)
        block_run.queue(steps, state, scores)

    def _draw_lane_inputs(self, block: Block) -> _LaneInputs:
        params = self.initial_parameters.draw(block.lanes)
        members = [lane.member for lane in block.lanes]
        return _LaneInputs(
            params=jax.tree.map(self._put_lanes, params),
            hyperparameters={
                name: self._put_lanes(
                    np.array([member.hyperparameters[name] for member in members], np.float32)
                )
                for name in members[0].hyperparameters
            },
        )

    def _compile_programs(self) -> None:
        trial, layout, mesh = self.group.trial, self.layout, self.context.mesh
        sharding = lane_sharding(mesh)
        names = self.group.members[0].hyperparameters
        numbers = {name: self._lane_struct((), np.float32) for name in names}
        params = jax.tree.map(
            lambda leaf: self._lane_struct(leaf.shape, leaf.dtype), trial.model.params
        )
        # Step 0 is scored once: a loop over tiles would take longer to compile than it saves.
        device_lanes = layout.device_tiles * layout.tile_lanes
        begin = jax.jit(
            map_lanes(trial.begin, mesh, device_lanes, shared_count=1), out_shardings=sharding
        )
        advance = jax.jit(
            map_lanes(trial.advance, mesh, layout.tile_lanes, shared_count=1),
            donate_argnums=0,
            out_shardings=sharding,
        )
        state = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            jax.eval_shape(begin, params, numbers, self.data)[0],
        )
        lengths = tuple(dict.fromkeys(self.context.chunk_lengths))
        batches = [self._lane_struct((steps, self.group.batch_size), np.int32) for steps in lengths]
        lowered = [
            begin.lower(params, numbers, self.data),
            *(advance.lower(state, numbers, batch, self.data) for batch in batches),
        ]
        if self.diagnoses:
            lowered.append(self.diagnoses.lower())
        with ThreadPoolExecutor() as threads:  # XLA compiles without Python's lock
            self._begin, *compiled = threads.map(lambda program: program.compile(), lowered)
        if self.diagnoses:
            self.diagnoses.program = compiled.pop()
        self._advance = dict(zip(lengths, compiled, strict=True))

    def _lane_struct(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(
            (self.layout.block_lanes, *shape), dtype, sharding=lane_sharding(self.context.mesh)
        )

    def _put_lanes(self, array: np.ndarray) -> jax.Array:
        """Return the array on the devices, padded to the lanes of a block."""
        padded = pad_lanes(array, self.layout.block_lanes)
        return jax.device_put(padded, lane_sharding(self.context.mesh))
