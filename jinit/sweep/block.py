"""A block of lanes on its way through the compiled programs, and the records it leaves."""

from collections import deque
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import jax
import numpy as np

from jinit.diagnostics import Signal, verdict
from jinit.sweep.plan import Group, Member
from jinit.sweep.space import label
from jinit.sweep.trial import Scores, State


@dataclass(frozen=True, eq=False)
class Block:
    """Lanes that run together: pairs of a configuration and the row of its seed."""

    number: int
    lanes: tuple[tuple[Member, int], ...]

    @property
    def rows(self) -> np.ndarray:
        """The seed row of every lane."""
        return np.array([row for _, row in self.lanes])

    @property
    def runs(self) -> list[tuple[Member, list[int]]]:
        """Consecutive lanes of one configuration, as (configuration, seed rows)."""
        return [
            (member, [row for _, row in lanes])
            for member, lanes in groupby(self.lanes, key=lambda lane: lane[0])
        ]


class Flight:
    """One block in training; what the device was asked for is read later, in the same order."""

    def __init__(self, block: Block, state: State, scores: Scores, found: Signal) -> None:
        self.block, self.state = block, state
        self.steps = [0]
        self.history: list[Scores] = []
        self._signal = found
        self._unread = deque([(0, scores)])

    def queue(self, steps: int, state: State, scores: Scores) -> None:
        """The device has been asked for `steps` more, which end in that state."""
        self.state = state
        self._unread.append((steps, scores))

    def read(self) -> int:
        """Wait for the oldest scores that were not read yet; the steps they cover."""
        if not self.history:
            self._signal = jax.device_get(self._signal)
            self.history.append(jax.device_get(self._unread.popleft()[1]))
        steps, scores = self._unread.popleft()
        self.history.append(jax.device_get(scores))
        self.steps.append(self.steps[-1] + steps)
        return steps

    @property
    def finished(self) -> bool:
        """Whether everything that was asked for has been read."""
        return not self._unread

    @property
    def diverged(self) -> int:
        """Lanes that diverged, as far as the scores were read."""
        return int((self.history[-1].diverged_at[: len(self.block.lanes)] >= 0).sum())

    def records(self, group: Group, seeds: np.ndarray) -> list[dict[str, Any]]:
        """One record per lane."""
        return [self._record(group, seeds, lane) for lane in range(len(self.block.lanes))]

    def _record(self, group: Group, seeds: np.ndarray, lane: int) -> dict[str, Any]:
        member, row = self.block.lanes[lane]
        curves = {
            name: [float(getattr(scores, name)[lane]) for scores in self.history]
            for name in ("train_loss", "validation_loss", "validation_accuracy")
        }
        diverged_at = int(self.history[-1].diverged_at[lane])
        layers = {
            name: values[lane].tolist()
            for name, values in self._signal._asdict().items()
            if name != "identical"
        }
        return {
            **{name: label(value) for name, value in member.config.items()},
            "seed": int(seeds[row]),
            "block": self.block.number,
            "verdict": "diverged" if diverged_at >= 0 else self._verdict(group, lane),
            "diverged_at": diverged_at if diverged_at >= 0 else None,
            **{name: curve[-1] for name, curve in curves.items()},
            "step": self.steps,
            **{f"{name}_curve": curve for name, curve in curves.items()},
            "layers": list(group.trial.model.layer_names),
            **layers,
        }

    def _verdict(self, group: Group, lane: int) -> str:
        model = group.trial.model
        layers = [model.contractions[number] for number, _ in model.layers]
        hidden = [index for index, layer in enumerate(layers) if layer.follower is not None]
        found = jax.tree.map(lambda values: values[lane, hidden], self._signal)
        word = verdict(
            found.activation_second_moment,
            found.gradient_std,
            found.saturated_fraction,
            found.identical,
            [layers[index].width for index in hidden],
        )
        # Layers inside loops are not measured: without them nothing can be called stable.
        return "unread" if word == "stable" and model.graph.unread else word
