"""The diagnoses of the initial states of a group."""

from collections.abc import Callable
from typing import Any

import jax

from jinit.record import LAYER_COLUMNS
from jinit.sweep.block import Lane
from jinit.sweep.groups import Group
from jinit.sweep.initial_states import InitialStates
from jinit.sweep.trial import Start


class GroupStarts:
    """The diagnoses of the initial states of a group; lanes with equal ones share one.

    Args:
      group: the group.
      initial_states: draws the initial states.
    """

    def __init__(self, group: Group, initial_states: InitialStates) -> None:
        self._group, self._initial_states = group, initial_states
        self._begun: dict[tuple, Start | Callable[[], Start]] = {}

    def begin(self, lane: Lane) -> None:
        """Begin the diagnosis of a lane, if the trial has one, without waiting for the device.

        Args:
          lane: the lane.
        """
        trial, member = self._group.program.trial, lane.member
        label = self._label(lane)
        if trial.diagnose is not None and label not in self._begun:
            stacked = self._initial_states.draw([(member, lane.seed_index)])
            state = jax.tree.map(lambda leaf: leaf[0], stacked)
            self._begun[label] = trial.diagnose(state, {**member.config, **member.numbers})

    def columns(self, lane: Lane) -> dict[str, Any]:
        """Return the columns of a record on a lane before its first step.

        Args:
          lane: the lane.
        """
        self.begin(lane)
        label = self._label(lane)
        if callable(begun := self._begun.get(label)):
            begun = self._begun[label] = begun()
        seconds = {"init_seconds": self._initial_states.seconds(lane.member)}
        if begun is None:
            none = {"at_initialization": None, "layers": []}
            return none | {name: [] for name in LAYER_COLUMNS} | seconds
        known = {"at_initialization": begun.verdict, "layers": list(begun.layers)}
        return known | dict(begun.statistics) | seconds

    def _label(self, lane: Lane) -> tuple:
        start = self._initial_states.start(lane.member, lane.seed_index)
        return lane.member.init_fingerprint, start
