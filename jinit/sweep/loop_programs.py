"""Lanes whose steps Python dispatches one by one."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import jax
import jax.numpy as jnp

from jinit.model import PyTree
from jinit.sweep.group_programs import GroupPrograms
from jinit.sweep.lane_program import LaneState, Recorded, TrainingCall, keep_stopped


class LoopPrograms(GroupPrograms):
    """Programs of a group whose training is a loop of Python over steps and lanes.

    What XLA computes slowly inside compiled loops, it computes here at the top level.
    """

    def _compile_advance(self, calls: Sequence[TrainingCall]) -> dict[Any, Future]:
        del calls
        lowered = self._lower_step()
        self.step_metrics = frozenset(lowered.out_info[1])
        return {"step": self._compile(lowered)}

    def advance(
        self,
        call: TrainingCall,
        lanes: Sequence[Any],
        parts: Mapping[str, PyTree],
        stream: PyTree = None,
    ) -> tuple[LaneState, Recorded]:
        """Train a block for some steps, as `GroupPrograms.advance` does."""
        stream = jax.device_put(stream, self.device)
        trained = [
            self._train_lane(call.steps, *lane, parts["train"], stream) for lane in _unstack(lanes)
        ]
        state, train = (_stack(each) for each in zip(*trained, strict=True))
        if not call.recordings or not self.has("validation"):
            return state, Recorded(train, {}, jnp.copy(state.diverged_at))
        state, (recorded,) = self.evaluate(("validation",), state, lanes[1], parts)
        return state, recorded._replace(train=train)

    def _scored_parts(self) -> list[tuple[str, ...]]:
        return [*super()._scored_parts(), self.computations.present("validation")]

    def _train_lane(
        self, steps: int, state: LaneState, numbers: Any, seed: Any, indices: Any, *data: Any
    ) -> tuple[LaneState, Any]:
        """Return the state of one lane after some steps, and the means of its metrics."""
        (train, stream), program, sums = data, self._advance["step"].result(), None
        for step in range(steps):
            examples = None if indices is None else indices[step]
            batch = jax.tree.map(lambda leaf, step=step: leaf[step], stream)
            state, metrics = program(state, numbers, seed, examples, batch, train)
            sums = metrics if sums is None else _add(sums, metrics)
        return state, jax.tree.map(lambda total: total / steps, sums)

    def _lower_step(self) -> Any:
        def run(lane: Any, numbers: Any, seed: Any, examples: Any, batch: Any, train: Any) -> Any:
            after, metrics = self.group.program.step(lane, numbers, seed, examples, batch, train)
            return (keep_stopped(lane, after) if self.group.program.can_stop else after), metrics

        return self.computations.step(run).lower()


def _unstack(lanes: Any) -> list[Any]:
    """Return the lanes of a block, each a tree without the axis of lanes."""
    count = len(jax.tree.leaves(lanes)[0])
    return [jax.tree.map(lambda leaf, lane=lane: leaf[lane], lanes) for lane in range(count)]


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@jax.jit
def _add(first: Any, second: Any) -> Any:
    return jax.tree.map(jnp.add, first, second)
