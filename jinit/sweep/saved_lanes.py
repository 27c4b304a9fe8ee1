"""Lanes on the host between two rungs of a search, and blocks gathered from them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jinit.sweep.block import BlockRun, Scores
from jinit.sweep.lane_program import LaneState
from jinit.sweep.lanes import to_host


class SavedLane(NamedTuple):
    """One lane between two rungs."""

    state: LaneState
    history: tuple[Scores, ...]
    """Its scores at every recording."""


def save_lanes(block_run: BlockRun) -> list[SavedLane]:
    """Return the lanes of a block whose scores have been read, on the host.

    Args:
      block_run: the block.
    """
    state = jax.tree.map(to_host, block_run.state)
    return [
        SavedLane(_take(state, lane), tuple(_take_scores(each, lane) for each in block_run.history))
        for lane in range(len(block_run.block.lanes))
    ]


def _take(tree: Any, lane: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[lane], tree)


def _take_scores(scores: Scores, lane: int) -> Scores:
    metrics, measured = _take((dict(scores.metrics), dict(scores.measured)), lane)
    return Scores(scores.step, metrics, scores.diverged_at[lane], measured)


def stack_lanes(states: Sequence[LaneState]) -> LaneState:
    """Return the states of several lanes with a leading axis of lanes.

    Args:
      states: the states.
    """
    return jax.tree.map(_stack, *states)


def stack_histories(histories: Sequence[Sequence[Scores]]) -> list[Scores]:
    """Return the scores of several lanes, recording by recording.

    Args:
      histories: the scores of each lane, at the same recordings.
    """
    return [
        Scores(
            step=scores[0].step,
            metrics=jax.tree.map(_stack, *(dict(each.metrics) for each in scores)),
            diverged_at=np.stack([each.diverged_at for each in scores]),
            measured=jax.tree.map(_stack, *(dict(each.measured) for each in scores)),
        )
        for scores in zip(*histories, strict=True)
    ]


def _stack(*leaves: Any) -> Any:
    return np.stack(leaves) if isinstance(leaves[0], np.ndarray | np.generic) else jnp.stack(leaves)
