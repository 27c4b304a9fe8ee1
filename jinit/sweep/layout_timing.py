"""The fastest layout of the lanes of a group, by timing some steps of each."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from jinit.sweep.block import Block, Lane
from jinit.sweep.executor import AUTO, Executor, parse_executor
from jinit.sweep.group_run import GroupRun
from jinit.sweep.groups import Group
from jinit.sweep.initial_states import InitialStates
from jinit.sweep.layout import BlockLayout, choose_layout
from jinit.sweep.run_context import RunContext

_CANDIDATES = ("map", "vmap(2)", "vmap(4)", "vmap(8)", "vmap(16)", "loop")
_TIMED_STEPS, _TIMED_CALLS = 4, 3
# A layout must be this much faster than that of the rule to replace it: timings are noisy.
_SMALLEST_GAIN = 1.1
_LONG_SECONDS = 120.0
"""Sweeps that take longer than this are timed."""


def fitting_layout(
    group: Group,
    lanes: Sequence[Lane],
    context: RunContext,
    lanes_per_block: int | None,
    executor: Executor,
    initial_states: InitialStates | None = None,
) -> BlockLayout:
    """Return the layout that was asked for, that of the rule, or the fastest by timing.

    Args:
      group: the group.
      lanes: its lanes.
      context: what all groups share.
      lanes_per_block: lanes of a block as the user asked for; None for the fastest layout.
      executor: how the lanes are computed, as the user asked for.
      initial_states: draws the initial states; methods that look at data are applied once.
    """
    slots = 1 if _is_read_once(context) else len(context.slots)
    rule = choose_layout(
        group, len(lanes), slots, lanes_per_block, executor, platform=context.platform
    )
    is_timed = executor.kind == "measured" or (
        executor == AUTO and lanes_per_block is None and _is_long(group, len(lanes), context)
    )
    if not is_timed:
        return rule
    choices = [
        choose_layout(
            group, len(lanes), slots, None, parse_executor(text), platform=context.platform
        )
        for text in _CANDIDATES
    ]
    layouts = dict.fromkeys((rule, *choices))
    states = initial_states or InitialStates(group, context.seeds)
    seconds = {
        layout: _lane_step_seconds(group, lanes, context, layout, states) for layout in layouts
    }
    fastest = min(layouts, key=lambda layout: seconds[layout])
    return fastest if seconds[fastest] * _SMALLEST_GAIN < seconds[rule] else rule


def _lane_step_seconds(
    group: Group,
    lanes: Sequence[Lane],
    context: RunContext,
    layout: BlockLayout,
    initial_states: InitialStates,
) -> float:
    """Return the time of a step of one lane, the shortest of some calls."""
    steps = _TIMED_STEPS
    short = replace(
        context, rungs=(steps,), record_every=steps, measure_at=(), steps_per_call=steps
    )
    runs = [GroupRun(group, layout, short, device, initial_states) for device in short.slots]
    block = Block(0, tuple(lanes[: layout.block_lanes]))
    return min(time_slots(runs, block, _TIMED_CALLS)) / (steps * len(runs) * layout.block_lanes)


def time_slots(runs: Sequence[GroupRun], block: Block, calls: int) -> list[float]:
    """Return the seconds of calls that train a block in all slots at the same time.

    Args:
      runs: the runs of a group in every slot.
      block: the block.
      calls: number of calls.
    """
    for future in [future for run in runs for future in run.programs.pending]:
        future.result()
    seconds = []
    with ThreadPoolExecutor(len(runs)) as threads:
        for _ in range(calls):
            prepared = [run.prepare(block) for run in runs]
            seconds.append(max(threads.map(GroupRun.time_call, runs, prepared)))
    return seconds


def _is_read_once(context: RunContext) -> bool:
    """Return whether the data is a stream for one block, which all lanes should then share."""
    return context.data is not None and context.data.is_stream and context.data.train.is_single


def _is_long(group: Group, lanes: int, context: RunContext) -> bool:
    """Return whether a sweep takes so long on CPU that timing pays."""
    if context.platform != "cpu":
        return False
    seconds = group.step_cost.cpu_seconds * lanes * context.rungs[-1]
    return seconds > _LONG_SECONDS * len(context.slots)
