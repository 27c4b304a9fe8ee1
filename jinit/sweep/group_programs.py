"""The compiled programs of a group, which train and score blocks of lanes on one device."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jinit.model import PyTree
from jinit.sweep.data import Data, as_struct
from jinit.sweep.groups import Group
from jinit.sweep.lane_program import LaneState, Recorded, TrainingCall, first_lane_states
from jinit.sweep.lanes import map_lanes
from jinit.sweep.layout import BlockLayout
from jinit.sweep.network import PROBE_EXAMPLES


class GroupPrograms:
    """Programs of a group for one device, compiled at once in threads.

    Args:
      group: the group.
      layout: layout of its blocks.
      data: data of the sweep; None if it has none.
      device: the device.
      calls: the calls that train and score the blocks.
    """

    step_metrics: frozenset[str]
    """Names of the metrics of a step."""

    def __init__(
        self,
        group: Group,
        layout: BlockLayout,
        data: Data | None,
        device: Any,
        calls: Sequence[TrainingCall],
    ) -> None:
        self.group, self.layout, self.data, self.device = group, layout, data, device
        self.structs = data_structs(data)
        self.evaluation_batch = 1 if data is None else data.evaluation_batch
        # XLA compiles without Python's lock.
        self._threads = ThreadPoolExecutor()
        self._advance = self._compile_advance(calls)
        self._evaluate = {
            names: self._compile(self._lower_evaluation(names))
            for names in self._evaluations()
            if names
        }
        self._threads.shutdown(wait=False)
        self._measurement: Future | None = None

    def has(self, part: str) -> bool:
        """Return whether there is data to score lanes on: validation, probe or test."""
        return self.group.program.trial.evaluate is not None and self.structs[part] is not None

    def _present(self, *parts: str) -> tuple[str, ...]:
        return tuple(part for part in parts if self.has(part))

    def advance(
        self,
        call: TrainingCall,
        lanes: Sequence[Any],
        parts: Mapping[str, PyTree],
        stream: PyTree = None,
    ) -> tuple[LaneState, Recorded]:
        """Train a block for some steps, and score it.

        Args:
          call: the steps, and how often lanes are scored on validation data.
          lanes: states, traced numbers, seeds and indices of the lanes.
          parts: the data on the device.
          stream: batches of a stream.

        Returns:
          The states, and what is recorded of them.
        """
        program = self._advance[call].result()
        stream = jax.device_put(stream, self.device)
        validation = parts["validation"] if call.recordings else None
        return program(*lanes, parts["train"], stream, validation)

    @property
    def start_parts(self) -> tuple[str, ...]:
        """The parts of the data that lanes are scored on before the first step, by one program."""
        return self._present("probe", "validation")

    def evaluate(
        self, names: Sequence[str], lane: LaneState, numbers: Any, parts: Mapping[str, PyTree]
    ) -> tuple[LaneState, list[Recorded]]:
        """Score a block on parts of the data.

        Args:
          names: `start_parts`, or `test`.
          lane: states of the lanes.
          numbers: their traced numbers.
          parts: the data on the device.

        Returns:
          The states with their first divergences, and by part the scores as those of validation.
        """
        data = [parts[name] for name in names]
        return self._evaluate[tuple(names)].result()(lane, numbers, *data)

    def measure(self, lane: LaneState, numbers: Any, batch: PyTree) -> dict[str, Any]:
        """Measure the layers of a block.

        Args:
          lane: states of the lanes.
          numbers: their traced numbers.
          batch: the examples to measure on, on the device; None without data.

        Returns:
          Arrays with a leading axis of lanes, by statistic.
        """
        return self.begin_measurement().result()(lane, numbers, batch)

    def begin_measurement(self) -> Future:
        """Return the program that measures layers, compiled from now on: most sweeps need none."""
        if self._measurement is None:
            thread = ThreadPoolExecutor(1)
            self._measurement = thread.submit(self._lower_measurement().compile)
            thread.shutdown(wait=False)
        return self._measurement

    @property
    def pending(self) -> list[Future]:
        """The programs that are being compiled."""
        measurement = [] if self._measurement is None else [self._measurement]
        return [*self._advance.values(), *self._evaluate.values(), *measurement]

    @property
    def lane_bytes(self) -> float:
        """Bytes that training needs per lane, by XLA's own analysis."""
        analysis = [future.result().memory_analysis() for future in self._advance.values()]
        used = [each.argument_size_in_bytes + each.temp_size_in_bytes for each in analysis if each]
        return max(used, default=0) / self.layout.block_lanes

    def _compile_advance(self, calls: Sequence[TrainingCall]) -> dict[Any, Future]:
        """Return the programs that train, being compiled, by their calls."""
        lowered = {call: self._lower_advance(call) for call in dict.fromkeys(calls)}
        self.step_metrics = frozenset(next(iter(lowered.values())).out_info[1].train)
        return {call: self._compile(program) for call, program in lowered.items()}

    def _compile(self, lowered: Any) -> Future:
        return self._threads.submit(lowered.compile)

    def _lower_advance(self, call: TrainingCall) -> Any:
        indices, steps = None, call.all_steps
        if self.group.batch_size is not None:
            indices = self._lane_struct((steps, self.group.batch_size), np.int32)
        lanes = (*self._lane_arguments(), self._lane_struct((), np.uint32), indices)

        def run(lane: Any, numbers: Any, seed: Any, indices: Any, *shared: Any) -> Any:
            train, stream, validation = shared
            record, size = self.group.program.record, self.evaluation_batch
            return record(
                lane, numbers, seed, indices, call, train, stream, validation, batch_size=size
            )

        program = self._map(run, shared_count=3, donated=(0,), lanes=self.layout.tile_lanes)
        validation = self._shared(self.structs["validation"]) if call.recordings else None
        train = self._shared(self.structs["train"])
        return program.lower(*lanes, train, self._stream_struct(steps), validation)

    def _evaluations(self) -> list[tuple[str, ...]]:
        """Return the parts of the data that lanes are scored on by each program."""
        return [self.start_parts, self._present("test")]

    def _lower_evaluation(self, names: Sequence[str]) -> Any:
        def run(lane: Any, numbers: Any, *parts: Any) -> Any:
            scores = []
            for data in parts:
                score = self.group.program.score
                lane, recorded = score(lane, numbers, {}, data, self.evaluation_batch)
                scores.append(recorded)
            return lane, scores

        program = self._map(run, shared_count=len(names), donated=(), lanes=self.layout.tile_lanes)
        data = [self._shared(self.structs[name]) for name in names]
        return program.lower(*self._lane_arguments(), *data)

    def _lower_measurement(self) -> Any:
        """Return the program that measures lanes one by one: it keeps all activations of a lane."""
        measure = self.group.program.measure
        program = self._map(measure, shared_count=1, donated=(), lanes=1)
        return program.lower(*self._lane_arguments(), self._shared(self.structs["first"]))

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
        sharding = SingleDeviceSharding(self.device)
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)


def data_parts(data: Data | None) -> dict[str, PyTree]:
    """Return the arrays that programs use: `train`, `validation`, `test`, `first` and `probe`.

    Layers are measured on the first training examples. The probe is the same, and lanes are scored
    on it before the first step; a stream has none.

    Args:
      data: the data; None if there is none.
    """
    if data is None:
        return dict.fromkeys(("train", "validation", "test", "first", "probe"))
    first = data.example_batch(PROBE_EXAMPLES)
    return {
        "train": None if data.is_stream else data.train,
        "validation": data.validation,
        "test": data.test,
        "first": first,
        "probe": None if data.is_stream else first,
    }


def data_structs(data: Data | None) -> dict[str, PyTree]:
    """Return the shapes and dtypes of `data_parts`."""
    return jax.tree.map(as_struct, data_parts(data))
