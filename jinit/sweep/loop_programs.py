"""Lanes whose steps Python dispatches one by one, in turn over the devices."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

from jinit.model import PyTree
from jinit.sweep.group_programs import GroupPrograms
from jinit.sweep.lane_program import LaneState, Recorded, TrainingCall, keep_stopped
from jinit.sweep.lanes import lane_sharding


class LoopPrograms(GroupPrograms):
    """Programs of a group whose training is a loop of Python over steps and lanes.

    What XLA computes slowly inside compiled loops, it computes here at the top level. A step of
    every lane is dispatched before the next step of the first one, so that all devices work.
    """

    def _compile_advance(self, calls: Sequence[TrainingCall]) -> dict[Any, Future]:
        del calls
        lowered = {device: self._lower_step(device) for device in self.mesh.devices.flat}
        self.step_metrics = frozenset(next(iter(lowered.values())).out_info[1])
        return {device: self._compile(program) for device, program in lowered.items()}

    def advance(
        self,
        call: TrainingCall,
        lanes: Sequence[Any],
        parts: Mapping[str, PyTree],
        stream: PyTree = None,
    ) -> tuple[LaneState, Recorded]:
        """Train a block for some steps, as `GroupPrograms.advance` does."""
        devices = list(self.mesh.devices.flat)
        given = {device: _unstack(lanes, device) for device in devices}
        data = {device: jax.device_put((parts["train"], stream), device) for device in devices}
        states = {device: [each[0] for each in given[device]] for device in devices}
        sums: dict[Any, list[Any]] = {device: [None] * len(given[device]) for device in devices}
        for step in range(call.steps):
            for lane in range(len(given[devices[0]])):
                for device in devices:
                    state, metrics = self._run_step(
                        device, states[device][lane], given[device][lane][1:], step, data[device]
                    )
                    states[device][lane] = state
                    total = sums[device][lane]
                    sums[device][lane] = metrics if total is None else _add(total, metrics)
        means = {device: [_divide(each, call.steps) for each in sums[device]] for device in devices}
        state, train = self._stack(states, devices), self._stack(means, devices)
        if not call.recordings or not self.has("validation"):
            return state, Recorded(train, {}, jnp.copy(state.diverged_at))
        state, (recorded,) = self.evaluate(("validation",), state, lanes[1], parts)
        return state, recorded._replace(train=train)

    def _evaluations(self) -> list[tuple[str, ...]]:
        return [*super()._evaluations(), self._present("validation")]

    def _run_step(
        self, device: Any, state: LaneState, lane: Sequence[Any], step: int, data: Any
    ) -> tuple[LaneState, Any]:
        numbers, seed, indices = lane
        examples = None if indices is None else indices[step]
        batch = jax.tree.map(lambda leaf: leaf[step], data[1])
        program = self._advance[device].result()
        return program(state, numbers, seed, examples, batch, data[0])

    def _lower_step(self, device: Any) -> Any:
        def run(lane: Any, numbers: Any, seed: Any, examples: Any, batch: Any, train: Any) -> Any:
            after, metrics = self.group.program.step(lane, numbers, seed, examples, batch, train)
            return (keep_stopped(lane, after) if self.group.program.can_stop else after), metrics

        lane, numbers = self._lane_arguments()
        sharding = SingleDeviceSharding(device)

        def one(struct: Any) -> Any:
            return jax.ShapeDtypeStruct(struct.shape[1:], struct.dtype, sharding=sharding)

        size = self.group.batch_size
        examples = None if size is None else jax.ShapeDtypeStruct((size,), np.int32)
        batch = None
        if self.data is not None and self.data.is_stream:
            batch = self.data.batch_struct()
        seed = jax.ShapeDtypeStruct((), np.uint32)
        shared = jax.tree.map(
            lambda struct: jax.ShapeDtypeStruct(struct.shape, struct.dtype, sharding=sharding),
            (seed, examples, batch, self.structs["train"]),
        )
        arguments = (*jax.tree.map(one, (lane, numbers)), *shared)
        return jax.jit(run, donate_argnums=0).lower(*arguments)

    def _stack(self, trees: dict[Any, list[Any]], devices: Sequence[Any]) -> Any:
        """Return trees of single lanes as one tree with an axis of lanes over all devices."""
        parts = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees[each]) for each in devices]
        sharding = lane_sharding(self.mesh)

        def join(*leaves: jax.Array) -> jax.Array:
            shape = (sum(len(leaf) for leaf in leaves), *leaves[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, sharding, list(leaves))

        return jax.tree.map(join, *parts)


def _unstack(lanes: Any, device: Any) -> list[Any]:
    """Return the lanes of one device, each a tree without the axis of lanes."""

    def shard(leaf: jax.Array) -> jax.Array:
        return next(each.data for each in leaf.addressable_shards if each.device == device)

    local = jax.tree.map(shard, lanes)
    count = len(jax.tree.leaves(local)[0])
    return [jax.tree.map(lambda leaf, lane=lane: leaf[lane], local) for lane in range(count)]


@jax.jit
def _add(first: Any, second: Any) -> Any:
    return jax.tree.map(jnp.add, first, second)


def _divide(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: leaf / count, tree)
