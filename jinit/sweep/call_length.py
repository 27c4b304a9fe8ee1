"""The length of one call of a training program."""

from jinit.sweep.groups import Group
from jinit.sweep.layout import BlockLayout
from jinit.sweep.run_context import RunContext

_CALL_SECONDS = 1.0
"""Seconds of a call with several recordings; Python shows progress between calls."""
_ACCELERATOR_RATE, _ACCELERATOR_EQUATION_SECONDS = 4e12, 2e-6
"""Operations per second of small networks on an accelerator: by XLA's estimates, 4e12 to 8e12 on a
TPU v5e (experiments/ahead_of_time). And the time to start a kernel of a GPU, as a guess."""


def recordings_per_call(
    group: Group, layout: BlockLayout, context: RunContext, platform: str
) -> int:
    """Return how often one call may record, so that it takes about a second at most.

    Streams, patience and the loop of Python need each recording by itself.

    Args:
      group: the group.
      layout: the layout of its lanes.
      context: what all groups share.
      platform: that of the device, such as `cpu`.
    """
    is_stream = context.data is not None and context.data.is_stream
    if layout.is_loop or is_stream or context.patience.recordings is not None:
        return 1
    seconds = _step_seconds(group, layout, platform) * context.record_every
    return max(int(_CALL_SECONDS / seconds), 1) if seconds else 1


def _step_seconds(group: Group, layout: BlockLayout, platform: str) -> float:
    """Return the seconds of a step of a block, as a guess: mostly it takes less."""
    cost = group.step_cost
    if platform == "cpu":
        return cost.cpu_seconds * layout.block_lanes
    starting = cost.equations * layout.tiles * _ACCELERATOR_EQUATION_SECONDS
    return starting + cost.operations * layout.block_lanes / _ACCELERATOR_RATE
