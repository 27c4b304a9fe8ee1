"""One architecture on the device: its compiled programs, and a block of lanes run through them."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jinit.diagnostics import verdict
from jinit.sweep.lanes import by_lane, over_lanes, pad, replicated
from jinit.sweep.order import Order
from jinit.sweep.plan import Group, Member
from jinit.sweep.space import label
from jinit.sweep.tasks import Task
from jinit.sweep.trial import Data, Scores


@dataclass(frozen=True, eq=False)
class Block:
    """Lanes that run together: pairs of a configuration and the row of its seed."""

    number: int
    lanes: tuple[tuple[Member, int], ...]
    seeds: np.ndarray
    """All seeds of the sweep; a lane's row points into them."""


class GroupRun:
    """Compiles a group's programs once, then trains its blocks."""

    def __init__(
        self,
        group: Group,
        task: Task,
        mesh: Mesh,
        order: Order,
        width: int,
        chunks: tuple[int, ...],
    ) -> None:
        self.group, self.mesh, self.order, self.width = group, mesh, order, width
        self.chunks = chunks
        self.history: list[Scores] = []
        self.data = jax.device_put(Data(*task.train, *task.validation), replicated(mesh))
        self.layers = group.trial.model.contractions
        began = time.perf_counter()
        self._compile(task.batch_size)
        self.compile_seconds = time.perf_counter() - began

    def train(self, block: Block) -> Iterator[tuple[int, int]]:
        """Train a block; yields (steps just done, lanes diverged so far)."""
        params, hyper = self._start(block)
        rows = pad(np.array([row for _, row in block.lanes]), self.width)
        state, scores, found = self._begin(params, hyper, self.data)
        self.signal, self.history = jax.device_get(found), [jax.device_get(scores)]
        done, unread = 0, 0
        for steps in self.chunks:
            batches = self._put(self.order.batches(rows, done, steps))
            state, following = self._advance[steps](state, hyper, batches, self.data)
            if unread:  # read the last scores while the device trains on
                yield self._collect(block, scores, unread)
            done, unread, scores = done + steps, steps, following
        yield self._collect(block, scores, unread)

    def rows(self, block: Block) -> list[dict[str, Any]]:
        """One record per lane of the block that has just been trained."""
        return [self._row(block, lane) for lane in range(len(block.lanes))]

    def _compile(self, batch_size: int) -> None:
        trial = self.group.trial
        lanes = by_lane(self.mesh)
        hyper = {name: self._lane_shape((), np.float32) for name in self.group.members[0].hyper}
        params = jax.tree.map(
            lambda leaf: self._lane_shape(leaf.shape, leaf.dtype), trial.model.params
        )
        begin = jax.jit(over_lanes(trial.begin, self.mesh, shared=1), out_shardings=lanes)
        advance = jax.jit(
            over_lanes(trial.advance, self.mesh, shared=1), donate_argnums=0, out_shardings=lanes
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
        return jax.ShapeDtypeStruct((self.width, *shape), dtype, sharding=by_lane(self.mesh))

    def _put(self, array: np.ndarray) -> jax.Array:
        return jax.device_put(array, by_lane(self.mesh))

    def _start(self, block: Block) -> tuple[Any, dict[str, jax.Array]]:
        """Initial parameters and traced numbers of every lane, padded to the width."""
        drawn = [self._draw(member, rows, block.seeds) for member, rows in _runs(block.lanes)]
        params = jax.tree.map(
            lambda *parts: self._put(pad(np.concatenate(parts), self.width)), *drawn
        )
        hyper = {
            name: self._put(
                pad(
                    np.array([member.hyper[name] for member, _ in block.lanes], np.float32),
                    self.width,
                )
            )
            for name in block.lanes[0][0].hyper
        }
        return params, hyper

    def _draw(self, member: Member, rows: Sequence[int], seeds: np.ndarray) -> Any:
        """Initial parameters of one configuration for several seeds.

        Not one compiled program for the whole network but one small one per distribution and
        shape, which all initializers and all layers share.
        """
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds[list(rows)], jnp.uint32))
        return jax.tree.map(np.asarray, jax.vmap(member.init)(keys))

    def _collect(self, block: Block, scores: Scores, steps: int) -> tuple[int, int]:
        self.history.append(jax.device_get(scores))
        diverged = self.history[-1].diverged_at[: len(block.lanes)] >= 0
        return steps, int(diverged.sum())

    def _row(self, block: Block, lane: int) -> dict[str, Any]:
        member, row = block.lanes[lane]
        curves = {
            name: [float(getattr(scores, name)[lane]) for scores in self.history]
            for name in ("train_loss", "validation_loss", "validation_accuracy")
        }
        diverged_at = int(self.history[-1].diverged_at[lane])
        layers = {
            name: values[lane].tolist()
            for name, values in self.signal._asdict().items()
            if name != "identical"
        }
        return {
            **{name: label(value) for name, value in member.config.items()},
            "seed": int(block.seeds[row]),
            "block": block.number,
            "verdict": "diverged" if diverged_at >= 0 else self._verdict(lane),
            "diverged_at": diverged_at if diverged_at >= 0 else None,
            **{name: curve[-1] for name, curve in curves.items()},
            "step": [0, *np.cumsum(self.chunks).tolist()],
            **{f"{name}_curve": curve for name, curve in curves.items()},
            "layers": list(self.group.trial.model.layer_names),
            **layers,
        }

    def _verdict(self, lane: int) -> str:
        hidden = [index for index, layer in enumerate(self.layers) if layer.follower is not None]
        found = jax.tree.map(lambda values: values[lane, hidden], self.signal)
        word = verdict(
            found.activation_second_moment,
            found.gradient_std,
            found.saturated_fraction,
            found.identical,
            [self.layers[index].width for index in hidden],
        )
        # Layers inside loops are not measured: without them nothing can be called stable.
        return "unread" if word == "stable" and self.group.trial.model.graph.unread else word


def _runs(lanes: Sequence[tuple[Member, int]]) -> list[tuple[Member, list[int]]]:
    """Consecutive lanes of one configuration, as (configuration, seed rows)."""
    runs: list[tuple[Member, list[int]]] = []
    for member, row in lanes:
        if not runs or runs[-1][0] is not member:
            runs.append((member, []))
        runs[-1][1].append(row)
    return runs
