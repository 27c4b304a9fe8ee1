"""A block of lanes on the device that will train it."""

from typing import NamedTuple

import jax

from jinit.sweep.block import Block, Scores
from jinit.sweep.lane_program import LaneState


class LaneInputs(NamedTuple):
    """The lanes of a block on the device, before their next step."""

    lane: LaneState
    numbers: dict[str, jax.Array]
    seeds: jax.Array


class PreparedBlock(NamedTuple):
    """A block that can be trained."""

    block: Block
    lanes: LaneInputs
    history: tuple[Scores, ...]
    """The scores of the steps that were trained before; empty at the first step."""
    steps: int
    """Number of these steps."""
