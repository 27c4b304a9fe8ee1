"""The compiled programs of a group, which train and score blocks of lanes on one device."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from jinit.model import PyTree
from jinit.sweep.data import Data
from jinit.sweep.group_computations import GroupComputations
from jinit.sweep.groups import Group
from jinit.sweep.lane_program import LaneState, Recorded, TrainingCall
from jinit.sweep.layout import BlockLayout


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
        self.group, self.layout, self.device = group, layout, device
        self.computations = GroupComputations(group, layout, data, device)
        # XLA compiles without Python's lock.
        self._threads = ThreadPoolExecutor()
        self._advance = self._compile_advance(calls)
        self._evaluate = {
            names: self._compile(self.computations.scoring(names).lower())
            for names in self._scored_parts()
            if names
        }
        self._threads.shutdown(wait=False)
        self._measurement: Future | None = None

    def has(self, part: str) -> bool:
        """Return whether there is data to score lanes on: validation, probe or test."""
        return self.computations.has(part)

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
        return self.computations.start_parts

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
            self._measurement = thread.submit(self.computations.measurement().lower().compile)
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

    def _scored_parts(self) -> list[tuple[str, ...]]:
        """Return the parts of the data that lanes are scored on by each program."""
        return [self.start_parts, self.computations.present("test")]

    def _compile_advance(self, calls: Sequence[TrainingCall]) -> dict[Any, Future]:
        """Return the programs that train, being compiled, by their calls."""
        lowered = {call: self.computations.training(call).lower() for call in dict.fromkeys(calls)}
        self.step_metrics = frozenset(next(iter(lowered.values())).out_info[1].train)
        return {call: self._compile(program) for call, program in lowered.items()}

    def _compile(self, lowered: Any) -> Future:
        return self._threads.submit(lowered.compile)
