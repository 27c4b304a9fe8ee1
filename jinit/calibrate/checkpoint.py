"""A file with the state of unfinished work, from which a later call goes on."""

import json
import math
import os
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jinit.calibrate.array_file import read_array_file, write_array_file
from jinit.calibrate.checkpoint_identity import explain_difference
from jinit.calibrate.plain_arrays import from_plain_arrays, to_plain_arrays
from jinit.model import PyTree

CheckpointFile = str | os.PathLike[str]
"""The name of a file to which unfinished work is saved."""

_SECONDS_BETWEEN_WRITES = 1.0
_LARGEST_SHARE = 0.05
"""Largest share of the time that is spent on writing."""
_IDENTITY, _STEPS, _SECONDS = "identity", "steps", "seconds"
"""Names of the arrays that are not those of a state."""


class _SavedLoop(NamedTuple):
    """The state of a loop after some steps."""

    steps: int
    arrays: dict[str, np.ndarray]


class Checkpoint:
    """The file of unfinished work. It is written completely or not at all.

    The file holds plain arrays in NumPy's .npz format and then their SHA-256 digest. It has the
    state of each loop that was begun; work that goes on takes finished loops from it.

    Args:
      name: name of the function, for messages.
      file: the file; it is read if it exists.
      identify: returns what the work is, by name; called if the file exists or is written.

    Raises:
      ValueError: if the file is damaged, or belongs to other work.
    """

    seconds: float = 0.0
    """Seconds that earlier calls took."""

    def __init__(
        self, name: str, file: CheckpointFile, identify: Callable[[], dict[str, str]]
    ) -> None:
        self.file, self._name, self._identify = Path(file), name, identify
        self._loops: list[_SavedLoop] = []
        self._unsaved: tuple[int, int, PyTree] | None = None
        self._next_write = time.monotonic() + _SECONDS_BETWEEN_WRITES
        if self.file.exists():
            self._read()

    def restore(self, place: int, total: int, structs: PyTree) -> tuple[int, PyTree] | None:
        """Return the number of steps and the state of a loop; None if it was not begun.

        Args:
          place: its place among all loops of the work.
          total: the number of all its steps.
          structs: the state that is expected, as abstract arrays.

        Raises:
          ValueError: if the file has other arrays.
        """
        if place >= len(self._loops):
            return None
        steps, arrays = self._loops[place]
        if not 0 <= steps <= total:
            raise self._error(f"has {steps} steps of a loop, expected 0 to {total}")
        try:
            return steps, from_plain_arrays(arrays, structs)
        except ValueError as error:
            raise self._error(f"does not have the arrays of this work: {error}") from error

    def note(self, place: int, steps: int, state: PyTree, seconds: float, *, is_end: bool) -> None:
        """Note the state of a loop; it is written at its end, and otherwise now and then.

        Args:
          place: its place among all loops of the work.
          steps: number of steps that are done.
          state: the state after them.
          seconds: seconds that the work took so far.
          is_end: whether the loop is finished.
        """
        self._unsaved = place, steps, state
        self.seconds = seconds
        if is_end or time.monotonic() >= self._next_write:
            self.write()

    def write(self) -> None:
        """Write the state that was noted last, if it is not written yet."""
        if self._unsaved is None:
            return
        begin_time = time.monotonic()
        place, steps, state = self._unsaved
        self._loops[place:] = [_SavedLoop(steps, to_plain_arrays(state))]
        write_array_file(self.file, self._arrays())
        self._unsaved = None
        now = time.monotonic()
        self._next_write = now + max(_SECONDS_BETWEEN_WRITES, (now - begin_time) / _LARGEST_SHARE)

    def remove(self) -> None:
        """Remove the file, after the work is done."""
        self.file.unlink(missing_ok=True)

    @cached_property
    def _identity(self) -> dict[str, str]:
        return self._identify()

    def _arrays(self) -> dict[str, np.ndarray]:
        text = json.dumps(self._identity)
        arrays = {
            _IDENTITY: np.frombuffer(text.encode(), np.uint8),
            _STEPS: np.array([loop.steps for loop in self._loops], int),
            _SECONDS: np.array(self.seconds),
        }
        for place, loop in enumerate(self._loops):
            arrays |= {f"{place}/{name}": each for name, each in loop.arrays.items()}
        return arrays

    def _read(self) -> None:
        try:
            arrays = read_array_file(self.file)
        except ValueError as error:
            raise self._error(str(error)) from error
        try:
            identity: Any = dict(json.loads(arrays.pop(_IDENTITY).tobytes()))
            steps = [int(each) for each in arrays.pop(_STEPS).astype(int, casting="safe")]
            self.seconds = float(arrays.pop(_SECONDS).astype(float, casting="safe"))
        except (ArithmeticError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise self._error("is not a checkpoint of jinit") from error
        if not 0 <= self.seconds < math.inf:
            raise self._error(f"has {self.seconds} seconds of work, expected a number from 0 on")
        if difference := explain_difference(identity, self._identity):
            raise self._error(f"belongs to other work, which differs in: {difference}")
        self._loops = [_SavedLoop(count, {}) for count in steps]
        for name, each in arrays.items():
            place, _, rest = name.partition("/")
            if not place.isdecimal() or int(place) >= len(steps):
                raise self._error(f"has an array {name!r}, which this work does not have")
            self._loops[int(place)].arrays[rest] = each

    def _error(self, fault: str) -> ValueError:
        return ValueError(
            f"{self._name}: the file {self.file} {fault}; delete it to begin anew, or name "
            "another file"
        )


def check_checkpoint_file(name: str, file: CheckpointFile) -> None:
    """Raise if a checkpoint cannot be written to a file.

    Args:
      name: name of the function, for messages.
      file: the file.

    Raises:
      ValueError: if its folder does not exist, or it is a folder itself.

    >>> check_checkpoint_file("rbm", "missing/rbm.npz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: rbm: checkpoint='missing/rbm.npz': there is no folder ...missing; create it first
    """
    path = Path(file).absolute()
    if not path.parent.is_dir():
        raise ValueError(
            f"{name}: checkpoint={str(file)!r}: there is no folder {path.parent}; create it first"
        )
    if path.is_dir():
        raise ValueError(
            f"{name}: checkpoint={str(file)!r} is a folder, expected the name of a file in it"
        )
