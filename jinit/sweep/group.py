"""One architecture on the device: its compiled programs, and blocks of lanes run through them."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jinit.sweep.block import Block, Flight
from jinit.sweep.draws import Draws
from jinit.sweep.lanes import by_lane, over_lanes, pad, replicated
from jinit.sweep.layout import Layout
from jinit.sweep.order import Order
from jinit.sweep.plan import Group
from jinit.sweep.tasks import Task
from jinit.sweep.trial import Data


class Start(NamedTuple):
    """What the lanes of a block start from."""

    params: Any
    hyper: dict[str, jax.Array]


class GroupRun:
    """Compiles a group's programs once, then trains its blocks."""

    def __init__(
        self,
        group: Group,
        task: Task,
        mesh: Mesh,
        order: Order,
        draws: Draws,
        layout: Layout,
        chunks: tuple[int, ...],
    ) -> None:
        self.group, self.mesh, self.order, self.draws = group, mesh, order, draws
        self.layout, self.chunks = layout, chunks
        self.data = jax.device_put(Data(*task.train, *task.validation), replicated(mesh))
        began = time.perf_counter()
        self._compile(task.batch_size)
        self.compile_seconds = time.perf_counter() - began

    def train(self, blocks: Iterable[Block]) -> Iterator[tuple[Flight, int]]:
        """Train one block after the other; yields a block and the steps it was seen to finish.

        While the device trains, Python prepares what comes next, also from block to block, and
        reads what came before. Nothing is queued behind a running program, though: XLA on CPU
        then trains a tenth slower, and starting a program takes a fiftieth of its time.
        """
        behind: Flight | None = None
        for block in blocks:
            start, done = self._start(block), 0
            flight: Flight | None = None
            for steps in self.chunks:
                batches = self._put(self.order.batches(block.rows, done, steps))
                if behind:
                    jax.block_until_ready(behind.state)
                if not flight:
                    flight = Flight(block, *jax.block_until_ready(self._begin(*start, self.data)))
                advance = self._advance[steps]
                flight.queue(steps, *advance(flight.state, start.hyper, batches, self.data))
                if behind:
                    yield behind, behind.read()
                behind, done = flight, done + steps
        if behind:
            yield behind, behind.read()

    def _start(self, block: Block) -> Start:
        """Initial parameters and traced numbers of every lane."""
        drawn = [self.draws.of(member, rows) for member, rows in block.runs]
        params = jax.tree.map(lambda *parts: self._put(np.concatenate(parts)), *drawn)
        hyper = {
            name: self._put(np.array([member.hyper[name] for member, _ in block.lanes], np.float32))
            for name in block.lanes[0][0].hyper
        }
        return Start(params, hyper)

    def _compile(self, batch_size: int) -> None:
        trial = self.group.trial
        lanes = by_lane(self.mesh)
        hyper = {name: self._lane_shape((), np.float32) for name in self.group.members[0].hyper}
        params = jax.tree.map(
            lambda leaf: self._lane_shape(leaf.shape, leaf.dtype), trial.model.params
        )
        part = self.layout.tiles * self.layout.tile  # one measurement, not worth a loop to compile
        begin = jax.jit(over_lanes(trial.begin, self.mesh, part, shared=1), out_shardings=lanes)
        advance = jax.jit(
            over_lanes(trial.advance, self.mesh, self.layout.tile, shared=1),
            donate_argnums=0,
            out_shardings=lanes,
        )
        state = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=lanes),
            jax.eval_shape(begin, params, hyper, self.data)[0],
        )
        lengths = tuple(dict.fromkeys(self.chunks))
        lowered = [begin.lower(params, hyper, self.data)] + [
            advance.lower(state, hyper, self._lane_shape((steps, batch_size), np.int32), self.data)
            for steps in lengths
        ]
        with ThreadPoolExecutor() as threads:  # XLA compiles outside Python's lock
            self._begin, *compiled = threads.map(lambda program: program.compile(), lowered)
        self._advance = dict(zip(lengths, compiled, strict=True))

    def _lane_shape(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((self.layout.width, *shape), dtype, sharding=by_lane(self.mesh))

    def _put(self, array: np.ndarray) -> jax.Array:
        """The array on the devices, padded to the width of a block."""
        return jax.device_put(pad(array, self.layout.width), by_lane(self.mesh))
