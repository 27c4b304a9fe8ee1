"""A block of lanes in training, and the records of its lanes."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from jinit.sweep.groups import Member
from jinit.sweep.space import record_value
from jinit.sweep.trial import Scores, TrialState


class Lane(NamedTuple):
    """One trial: a configuration and a seed."""

    member: Member
    seed_index: int
    """Place of the seed among the seeds of the sweep."""


@dataclass(frozen=True, eq=False)
class Block:
    """Lanes that are trained together."""

    number: int
    lanes: tuple[Lane, ...]

    @property
    def seed_indices(self) -> np.ndarray:
        """The seed index of every lane."""
        return np.array([lane.seed_index for lane in self.lanes])


@dataclass
class BlockRun:
    """One block in training. Scores are read back later, in the order of their computation."""

    block: Block
    state: TrialState
    first_scores: Scores
    run_seconds: float = 0.0
    """Seconds from the end of the previous block to the end of this one."""
    recorded_steps: list[int] = field(default_factory=lambda: [0])
    score_history: list[Scores] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pending = deque([(0, self.first_scores)])

    def queue(self, steps: int, state: TrialState, scores: Scores) -> None:
        """Append the results of `steps` more steps, which the device may still be computing."""
        self.state = state
        self._pending.append((steps, scores))

    def read_scores(self) -> int:
        """Wait for the oldest scores that have not been read; return the steps they cover."""
        if not self.score_history:
            self.score_history.append(jax.device_get(self._pending.popleft()[1]))
        steps, scores = self._pending.popleft()
        self.score_history.append(jax.device_get(scores))
        self.recorded_steps.append(self.recorded_steps[-1] + steps)
        return steps

    @property
    def is_finished(self) -> bool:
        """Whether all scores have been read."""
        return not self._pending

    @property
    def diverged_lanes(self) -> int:
        """Number of lanes that have diverged, by the scores read so far."""
        return int((self.score_history[-1].diverged_at[: len(self.block.lanes)] >= 0).sum())

    def records(self, seeds: np.ndarray) -> list[dict[str, Any]]:
        """Return one record per lane.

        Args:
          seeds: the seeds of the sweep.
        """
        return [self._record(seeds, *each) for each in enumerate(self.block.lanes)]

    def _record(self, seeds: np.ndarray, number: int, lane: Lane) -> dict[str, Any]:
        curves = {
            name: [float(getattr(scores, name)[number]) for scores in self.score_history]
            for name in ("train_loss", "validation_loss", "validation_accuracy")
        }
        diverged_at = int(self.score_history[-1].diverged_at[number])
        return {
            **{name: record_value(value) for name, value in lane.member.config.items()},
            "seed": int(seeds[lane.seed_index]),
            "block": self.block.number,
            "diverged_at": diverged_at if diverged_at >= 0 else None,
            **{name: curve[-1] for name, curve in curves.items()},
            "validation_loss_error": float(self.score_history[-1].validation_loss_error[number]),
            "step": self.recorded_steps,
            **{f"{name}_curve": curve for name, curve in curves.items()},
        }
