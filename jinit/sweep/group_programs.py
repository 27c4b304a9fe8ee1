"""The compiled programs of a group, which train and score blocks of lanes."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jinit.model import PyTree
from jinit.sweep.data import Data, as_struct
from jinit.sweep.groups import Group
from jinit.sweep.lane_program import LaneState, first_lane_state
from jinit.sweep.lanes import lane_sharding, map_lanes, replicated_sharding
from jinit.sweep.layout import BlockLayout
from jinit.sweep.network import PROBE_EXAMPLES


class GroupPrograms:
    """Programs of a group, compiled at once in threads.

    Args:
      group: the group.
      layout: layout of its blocks.
      data: data of the sweep; None if it has none.
      mesh: the devices.
      chunk_lengths: steps of each call.
    """

    def __init__(
        self,
        group: Group,
        layout: BlockLayout,
        data: Data | None,
        mesh: Mesh,
        chunk_lengths: Sequence[int],
    ) -> None:
        self.group, self.layout, self.data, self.mesh = group, layout, data, mesh
        self.structs = data_structs(data)
        # XLA compiles without Python's lock.
        self._threads = ThreadPoolExecutor()
        self._advance = self._compile_advance(chunk_lengths)
        self._evaluate = {
            part: self._compile(self._lower_evaluation(part))
            for part in ("validation", "probe", "test")
            if self.has(part)
        }
        self._threads.shutdown(wait=False)

    step_metrics: frozenset[str]
    """Names of the metrics of a step."""

    def has(self, part: str) -> bool:
        """Return whether there is data to score lanes on: validation, probe or test."""
        return self.group.program.trial.evaluate is not None and self.structs[part] is not None

    def advance(
        self, steps: int, *lanes: Any, train: PyTree, stream: PyTree = None
    ) -> tuple[LaneState, Any]:
        """Train a block for some steps.

        Args:
          steps: number of steps.
          lanes: states, traced numbers, seeds and indices of the lanes.
          train: training data on the devices.
          stream: batches of a stream.

        Returns:
          The states and the mean metrics.
        """
        program = self._advance[steps].result()
        stream = jax.device_put(stream, replicated_sharding(self.mesh))
        return program(*lanes, train, stream)

    def evaluate(self, part: str, lane: LaneState, numbers: Any, data: PyTree) -> tuple[Any, Any]:
        """Return the first divergences and the metrics of a block on a part of the data."""
        return self._evaluate[part].result()(lane, numbers, data)

    @property
    def pending(self) -> list[Future]:
        """The programs that are being compiled."""
        return [*self._advance.values(), *self._evaluate.values()]

    @property
    def lane_bytes(self) -> float:
        """Bytes that training needs on a device per lane, by XLA's own analysis."""
        analysis = [future.result().memory_analysis() for future in self._advance.values()]
        used = [each.argument_size_in_bytes + each.temp_size_in_bytes for each in analysis if each]
        return max(used, default=0) / (self.layout.device_tiles * self.layout.tile_lanes)

    def _compile_advance(self, chunk_lengths: Sequence[int]) -> dict[Any, Future]:
        """Return the programs that train, being compiled, by their number of steps."""
        lowered = {steps: self._lower_advance(steps) for steps in dict.fromkeys(chunk_lengths)}
        self.step_metrics = frozenset(next(iter(lowered.values())).out_info[1])
        return {steps: self._compile(program) for steps, program in lowered.items()}

    def _compile(self, lowered: Any) -> Future:
        return self._threads.submit(lowered.compile)

    def _lower_advance(self, steps: int) -> Any:
        batch_size = self.group.batch_size
        indices = None if batch_size is None else self._lane_struct((steps, batch_size), np.int32)
        lanes = (*self._lane_arguments(), self._lane_struct((), np.uint32), indices)

        def run(lane: Any, numbers: Any, seed: Any, indices: Any, train: Any, stream: Any) -> Any:
            advance = self.group.program.advance
            return advance(lane, numbers, seed, indices, steps, train, stream)

        program = self._map(run, shared_count=2, donated=(0,), lanes=self.layout.tile_lanes)
        return program.lower(
            *lanes, self._shared(self.structs["train"]), self._stream_struct(steps)
        )

    def _lower_evaluation(self, part: str) -> Any:
        size = self.data.evaluation_batch if self.data is not None else 1
        evaluate = partial(self.group.program.evaluate, batch_size=size)
        program = self._map(evaluate, shared_count=1, donated=(), lanes=self.layout.tile_lanes)
        return program.lower(*self._lane_arguments(), self._shared(self.structs[part]))

    def _map(
        self, function: Callable[..., Any], shared_count: int, donated: tuple[int, ...], lanes: int
    ) -> Any:
        return jax.jit(
            map_lanes(function, self.mesh, lanes, shared_count=shared_count),
            donate_argnums=donated,
            out_shardings=lane_sharding(self.mesh),
        )

    def _lane_arguments(self) -> tuple[LaneState, dict[str, jax.ShapeDtypeStruct]]:
        lane = jax.eval_shape(first_lane_state, self.group.state)
        numbers = {name: self._lane_struct((), dtype) for name, dtype in self.group.dtypes.items()}
        return jax.tree.map(lambda leaf: self._lane_struct(leaf.shape, leaf.dtype), lane), numbers

    def _stream_struct(self, steps: int) -> PyTree:
        if self.data is None or not self.data.is_stream:
            return None
        return self._shared(
            jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct((steps, *leaf.shape), leaf.dtype),
                self.data.batch_struct(),
            )
        )

    def _shared(self, structs: PyTree) -> PyTree:
        """Return structs of arrays that every device holds."""
        sharding = replicated_sharding(self.mesh)
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), structs
        )

    def _lane_struct(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(
            (self.layout.block_lanes, *shape), dtype, sharding=lane_sharding(self.mesh)
        )


def data_parts(data: Data | None) -> dict[str, PyTree]:
    """Return the arrays that programs use: `train`, `validation`, `probe` and `test`.

    The probe is the first training examples, on which lanes are scored before the first step.

    Args:
      data: the data; None if there is none.
    """
    if data is None:
        return dict.fromkeys(("train", "validation", "probe", "test"))
    return {
        "train": None if data.is_stream else data.train,
        "validation": data.validation,
        "probe": None if data.is_stream else data.example_batch(PROBE_EXAMPLES),
        "test": data.test,
    }


def data_structs(data: Data | None) -> dict[str, PyTree]:
    """Return the shapes and dtypes of `data_parts`."""
    return jax.tree.map(as_struct, data_parts(data))
