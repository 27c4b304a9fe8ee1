"""The records of the lanes of a finished block."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jinit.record import BY_STEP, MEASURED_COLUMN
from jinit.sweep.block import BlockRun
from jinit.sweep.patience import Patience
from jinit.sweep.space import record_value


def lane_records(
    block_run: BlockRun, lanes: Iterable[int], seeds: np.ndarray, patience: Patience, steps: int
) -> list[dict]:
    """Return one record per lane, up to the recording at which it stopped.

    Args:
      block_run: the block.
      lanes: places of the lanes in the block.
      seeds: the seeds of the sweep.
      patience: the rule by which lanes stop.
      steps: steps of a lane that does not stop early.
    """
    tests = {name: np.asarray(values) for name, values in block_run.test_metrics.items()}
    return [_lane_record(block_run, number, seeds, patience, steps, tests) for number in lanes]


def _lane_record(
    block_run: BlockRun,
    number: int,
    seeds: np.ndarray,
    patience: Patience,
    all_steps: int,
    tests: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    lane = block_run.block.lanes[number]
    steps = [scores.step for scores in block_run.history]
    stop = patience.stop(block_run, number)
    end = len(steps) if stop is None else stop + 1
    curves = {name: block_run.curve(name, number) for name in block_run.columns}
    is_per_recording = {len(curve) for curve in curves.values()} <= {len(steps)}
    if is_per_recording:
        steps, curves = steps[:end], {name: curve[:end] for name, curve in curves.items()}
    else:  # a metric is a curve itself
        steps = list(range(1, max(map(len, curves.values())) + 1))
    is_stopped = stop is not None or block_run.history[-1].step < all_steps
    diverged_at = int(block_run.history[-1].diverged_at[number])
    return {
        **{name: record_value(value) for name, value in lane.member.config.items()},
        "seed": int(seeds[lane.seed_index]),
        "block": block_run.block.number,
        "diverged_at": diverged_at if diverged_at >= 0 else None,
        "stopped_at": steps[-1] if is_stopped and diverged_at < 0 else None,
        **{name: curve[-1] for name, curve in curves.items()},
        **{name: float(values[number]) for name, values in tests.items()},
        "step": steps,
        **{f"{name}_curve": each for name, each in curves.items() if not name.endswith("_error")},
        **_measured_columns(block_run, number, steps[-1]),
    }


def _measured_columns(block_run: BlockRun, number: int, last_step: int) -> dict[str, Any]:
    """Return the statistics of layers, a list per step at which they were measured."""
    found = [each for each in block_run.history if each.measured and each.step <= last_step]
    names = found[0].measured if found else ()
    by_step = {name: [each.measured[name][number].tolist() for each in found] for name in names}
    columns = {f"{name}{BY_STEP}": values for name, values in by_step.items()}
    return {MEASURED_COLUMN: [each.step for each in found], **columns}
