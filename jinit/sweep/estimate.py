"""The cost of a sweep before it runs, from a short calibration."""

import time
from dataclasses import dataclass, replace

from jinit.sweep.block import Block, Lane
from jinit.sweep.group_run import GroupRun
from jinit.sweep.groups import Group
from jinit.sweep.layout import BlockLayout
from jinit.sweep.layout_timing import time_slots
from jinit.sweep.run_context import RunContext

_CALIBRATION_STEPS, _CALIBRATION_CALLS = 4, 3


@dataclass(frozen=True)
class Estimate:
    """The cost of a sweep.

    Seconds are those of the first program, measured for some steps, scaled by the operations of the
    others; early stops are not foreseen.

    >>> print(Estimate(64, 32000, 2, 3.0, 20.0, 2.5e5, "map"))
    64 runs of 32,000 steps in all, 2 training programs; about 6 s of compilation and 20 s ...
    """

    lanes: int
    """Number of runs."""
    lane_steps: int
    """Steps of all runs together."""
    programs: int
    """Number of training programs."""
    program_seconds: float
    """Seconds to compile one program."""
    training_seconds: float
    """Seconds to train and to score all lanes."""
    lane_bytes: float
    """Bytes of a lane on its device, by XLA's own analysis."""
    executor: str
    """How the lanes of the first program are computed."""

    @property
    def seconds(self) -> float:
        """Seconds of the whole sweep."""
        return self.programs * self.program_seconds + self.training_seconds

    def __str__(self) -> str:
        plural = "" if self.programs == 1 else "s"
        return (
            f"{self.lanes:,} runs of {self.lane_steps:,} steps in all, {self.programs} training "
            f"program{plural}; about {_duration(self.programs * self.program_seconds)} of "
            f"compilation and {_duration(self.training_seconds)} of training; "
            f"{self.lane_bytes / 2**20:.2f} MiB of memory per lane, lanes by {self.executor}"
        )


def estimate_cost(
    groups: tuple[Group, ...], context: RunContext, lane_steps: int, layout: BlockLayout
) -> Estimate:
    """Compile the first program of a sweep for some steps, and time it.

    Args:
      groups: the groups of the sweep.
      context: what they share.
      lane_steps: steps of all lanes together.
      layout: layout of the lanes of the first group.

    Returns:
      The cost of all of them.
    """
    first, seeds = groups[0], len(context.seeds)
    block_lanes = [Lane(member, seed) for seed in range(seeds) for member in first.members]
    steps = min(_CALIBRATION_STEPS, context.record_every)
    short = replace(
        context, rungs=(steps,), record_every=steps, measure_at=(), steps_per_call=steps
    )
    begin_time = time.perf_counter()
    runs = [GroupRun(first, layout, short, device) for device in context.slots]
    for future in [future for run in runs for future in run.programs.pending]:
        future.result()
    program_seconds = time.perf_counter() - begin_time
    block, run = Block(0, tuple(block_lanes[: layout.block_lanes])), runs[0]
    times, together = time_slots(runs, block, _CALIBRATION_CALLS), len(runs) * layout.block_lanes
    step_seconds = min(times) / (steps * together)
    score_seconds = run.time_scores(run.prepare(block)) / together
    members = sum(len(group.members) for group in groups)
    recordings = sum(len(context.recordings(rung)) for rung in range(len(context.rungs)))
    return Estimate(
        lanes=members * seeds,
        lane_steps=lane_steps,
        programs=len(groups),
        program_seconds=program_seconds,
        training_seconds=_relative_cost(groups) * lane_steps * step_seconds
        + members * seeds * recordings * score_seconds,
        lane_bytes=run.programs.lane_bytes,
        executor=str(layout),
    )


def _relative_cost(groups: tuple[Group, ...]) -> float:
    """Return the mean operations of a step over all lanes, in units of the first group's."""
    operations = [group.step_cost.operations for group in groups]
    members = [len(group.members) for group in groups]
    if not operations[0]:
        return 1.0
    total = sum(count * each for count, each in zip(members, operations, strict=True))
    return total / (sum(members) * operations[0])


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
