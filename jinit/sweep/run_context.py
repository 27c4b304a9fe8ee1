"""Data, devices and settings that all groups of a sweep share."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import numpy as np

from jinit.sweep.data import Data
from jinit.sweep.lane_program import TrainingCall
from jinit.sweep.patience import Patience


@dataclass(frozen=True, eq=False)
class RunContext:
    """Data and settings that all groups of a sweep share."""

    data: Data | None
    slots: tuple[Any, ...]
    """The device of every slot, where one block is trained at a time."""
    parts: Mapping[Any, Mapping[str, Any]]
    """The arrays of the data, on every device."""
    seeds: np.ndarray
    data_seed: int | None
    """Seed of the order of the data and of the keys of the steps; None for that of each lane."""
    bootstrap: bool
    """Whether each seed trains on a sample of the training examples with replacement."""
    rungs: tuple[int, ...]
    """Steps after which configurations may be eliminated; the last one is that of all steps."""
    record_every: int
    measure_at: tuple[int, ...]
    """Steps after which layers are measured: ends of recordings."""
    steps_per_call: int
    patience: Patience
    wait: Callable[[Any], None]
    """Waits until arrays are computed, and shows that the sweep is alive."""
    announce: Callable[[str], None]
    """Shows a stage of the sweep."""
    stop: Event = field(default_factory=Event)
    """Set to end the training of blocks after their present calls."""

    @property
    def platform(self) -> str:
        """The platform of the devices, such as `cpu` or `tpu`."""
        return self.slots[0].platform

    @property
    def data_seeds(self) -> np.ndarray:
        """The seed of the order of the data, by seed of the sweep."""
        if self.data_seed is None:
            return self.seeds
        return np.full_like(self.seeds, self.data_seed)

    def recordings(self, rung: int) -> tuple[int, ...]:
        """Return the steps from one recording to the next, up to a rung.

        Args:
          rung: number of the rung, counted from 0.
        """
        first = self.rungs[rung - 1] if rung else 0
        full, rest = divmod(self.rungs[rung] - first, self.record_every)
        return (self.record_every,) * full + ((rest,) if rest else ())

    def plans(self, most_recordings: int) -> list[tuple[tuple[TrainingCall, ...], ...]]:
        """Return by rung the calls from one exchange with Python to the next.

        Calls with several recordings have equally many in all rungs, so that they share a program,
        and layers are measured only at their ends.

        Args:
          most_recordings: recordings that one call may have.
        """
        rungs = [self.recordings(rung) for rung in range(len(self.rungs))]
        whole = [each.count(self.record_every) for each in rungs]
        most = max(min(most_recordings, self.steps_per_call // self.record_every), 1)
        measured = [step // self.record_every for step in self.measure_at]
        common = math.gcd(*whole, *measured)
        count = max(each for each in range(1, most + 1) if common % each == 0)
        return [self._plan(each, count) for each in rungs]

    def _plan(self, recordings: Sequence[int], count: int) -> tuple[tuple[TrainingCall, ...], ...]:
        joined = recordings.count(self.record_every) if count > 1 else 0
        calls = ((TrainingCall(self.record_every, count),),) * (joined // count)
        return calls + tuple(self._short_calls(steps) for steps in recordings[joined:])

    def _short_calls(self, steps: int) -> tuple[TrainingCall, ...]:
        """Return the calls until the next recording, after the last of which lanes are scored."""
        full, rest = divmod(steps, self.steps_per_call)
        counts = [self.steps_per_call] * full + ([rest] if rest else [])
        return tuple(
            TrainingCall(count, place == len(counts)) for place, count in enumerate(counts, 1)
        )
