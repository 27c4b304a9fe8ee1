"""The arguments of a sweep that searches pass on unchanged."""

from collections.abc import Sequence
from typing import TypedDict

from jinit.sweep.optimizers import OptimizerLike


class TrainingOptions(TypedDict, total=False):
    """Arguments of `jinit.Sweep` about the training of each run, with the same defaults."""

    optimizer: OptimizerLike | None
    steps: int
    record_every: int | None
    checkpoint_minutes: float
    measure_at: Sequence[int]
    steps_per_call: int | None
    lanes: int | None
    executor: str
    data_seed: int | None
    bootstrap: bool
    patience: int | None


class SweepOptions(TrainingOptions, total=False):
    """Arguments of `jinit.Sweep` about the training, the metric and the first measurement."""

    metric: str | None
    maximize: bool | None
    measure_start: bool
