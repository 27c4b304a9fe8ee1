"""The programs of a group before they are compiled: jitted functions of blocks of lanes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jinit.model import PyTree
from jinit.sweep.data import Data
from jinit.sweep.data_parts import data_structs
from jinit.sweep.groups import Group
from jinit.sweep.lane_program import LaneState, TrainingCall, first_lane_states
from jinit.sweep.lanes import map_lanes
from jinit.sweep.layout import BlockLayout


class JittedCall(NamedTuple):
    """A jitted function, and the arguments that it will be compiled for."""

    function: Any
    arguments: tuple[Any, ...]
    """Trees of shapes and dtypes."""

    def lower(self) -> Any:
        """Return the program as `jax.jit` lowers it."""
        return self.function.lower(*self.arguments)


class GroupComputations:
    """The computations of a group, for any device.

    Args:
      group: the group.
      layout: layout of its blocks.
      data: data of the sweep; None if it has none.
      device: the device to compile for, which may be one of a topology that is not here; None for
        a platform to be chosen later.
    """

    def __init__(self, group: Group, layout: BlockLayout, data: Data | None, device: Any) -> None:
        self.group, self.layout, self.data, self.device = group, layout, data, device
        self._structs = data_structs(data)
        self._evaluation_batch = 1 if data is None else data.evaluation_batch

    def has(self, part: str) -> bool:
        """Return whether there is data to score lanes on: validation, probe or test.

        Args:
          part: name of the part.
        """
        return self.group.program.trial.evaluate is not None and self._structs[part] is not None

    def present(self, *parts: str) -> tuple[str, ...]:
        """Return those of the parts that there are.

        Args:
          parts: names of parts.
        """
        return tuple(part for part in parts if self.has(part))

    @property
    def start_parts(self) -> tuple[str, ...]:
        """The parts of the data that lanes are scored on before the first step, by one program."""
        return self.present("probe", "validation")

    def training(self, call: TrainingCall) -> JittedCall:
        """Return the program that trains a block for some steps, and scores it.

        Args:
          call: the steps, and how often lanes are scored on validation data.
        """
        indices, steps = None, call.all_steps
        if self.group.batch_size is not None:
            indices = self._lane_struct((steps, self.group.batch_size), np.int32)
        lanes = (*self._lane_arguments(), self._lane_struct((), np.uint32), indices)

        def run(lane: Any, numbers: Any, seed: Any, indices: Any, *shared: Any) -> Any:
            train, stream, validation = shared
            record, size = self.group.program.record, self._evaluation_batch
            return record(
                lane, numbers, seed, indices, call, train, stream, validation, batch_size=size
            )

        program = self._map(run, shared_count=3, donated=(0,), lanes=self.layout.tile_lanes)
        validation = self._shared(self._structs["validation"]) if call.recordings else None
        train = self._shared(self._structs["train"])
        return JittedCall(program, (*lanes, train, self._stream_struct(steps), validation))

    def scoring(self, names: Sequence[str]) -> JittedCall:
        """Return the program that scores a block.

        Args:
          names: parts of the data to score on.
        """

        def run(lane: Any, numbers: Any, *parts: Any) -> Any:
            scores = []
            for data in parts:
                score = self.group.program.score
                lane, recorded = score(lane, numbers, {}, data, self._evaluation_batch)
                scores.append(recorded)
            return lane, scores

        program = self._map(run, shared_count=len(names), donated=(), lanes=self.layout.tile_lanes)
        data = [self._shared(self._structs[name]) for name in names]
        return JittedCall(program, (*self._lane_arguments(), *data))

    def measurement(self) -> JittedCall:
        """Return the program that measures lanes one by one: it keeps all activations of a lane."""
        measure = self.group.program.measure
        program = self._map(measure, shared_count=1, donated=(), lanes=1)
        first = self._shared(self._structs["first"])
        return JittedCall(program, (*self._lane_arguments(), first))

    def step(self, function: Callable[..., Any]) -> JittedCall:
        """Return the program of one step of one lane.

        Args:
          function: as `LaneProgram.step`.
        """
        lane, numbers = jax.tree.map(
            lambda struct: self._struct(struct.shape[1:], struct.dtype), self._lane_arguments()
        )
        size = self.group.batch_size
        examples = None if size is None else self._struct((size,), np.int32)
        batch = None
        if self.data is not None and self.data.is_stream:
            batch = self._shared(self.data.batch_struct())
        seed, train = self._struct((), np.uint32), self._shared(self._structs["train"])
        arguments = lane, numbers, seed, examples, batch, train
        return JittedCall(jax.jit(function, donate_argnums=0), arguments)

    def _map(
        self, function: Callable[..., Any], shared_count: int, donated: tuple[int, ...], lanes: int
    ) -> Any:
        mapped = map_lanes(function, lanes, shared_count=shared_count)
        return jax.jit(mapped, donate_argnums=donated)

    def _lane_arguments(self) -> tuple[LaneState, dict[str, jax.ShapeDtypeStruct]]:
        lane: Any = first_lane_states(self.group.state, 1)
        state = jax.tree.map(lambda leaf: self._lane_struct(leaf.shape, leaf.dtype), lane.state)
        others: Any = [self._lane_struct((), leaf.dtype) for leaf in lane[1:]]
        numbers = {name: self._lane_struct((), dtype) for name, dtype in self.group.dtypes.items()}
        return LaneState(state, *others), numbers

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
        """Return structs of arrays that all lanes use."""
        return jax.tree.map(lambda leaf: self._struct(leaf.shape, leaf.dtype), structs)

    def _lane_struct(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return self._struct((self.layout.block_lanes, *shape), dtype)

    def _struct(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        sharding = None if self.device is None else SingleDeviceSharding(self.device)
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)
