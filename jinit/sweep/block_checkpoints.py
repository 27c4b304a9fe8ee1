"""Files with the state of blocks in training, from which an interrupted sweep goes on."""

import contextlib
import itertools
import json
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jinit.calibrate import (
    from_plain_arrays,
    read_array_file,
    to_plain_arrays,
    write_array_file,
)
from jinit.model import PyTree
from jinit.sweep.block import Block, BlockRun, Scores
from jinit.sweep.lane_program import LaneState

_FOLDER = "checkpoints"
_ABOUT, _STEPS, _DIVERGED, _STATE = "about", "steps", "diverged_at", "state/"
_METRICS, _MEASURED = "metrics", "measured"


class SavedBlock(NamedTuple):
    """A block as it was saved: the states of its lanes, and all scores up to there."""

    state: LaneState
    history: tuple[Scores, ...]


class BlockCheckpoints:
    """The checkpoints of the blocks of one group.

    Each is a file of plain arrays with their digest. One that is damaged, or was written for
    another block or layout of lanes, is moved aside, and its block begins anew.

    Args:
      directory: the directory of the sweep.
      group: number of the group.
      about: text that names the work; a checkpoint with another one is not used.
      state: abstract states of the lanes of a block.
      seconds: seconds from one checkpoint of a block to the next.
    """

    def __init__(
        self, directory: Path, group: int, about: str, state: PyTree, seconds: float
    ) -> None:
        self._folder, self._group = directory / _FOLDER, group
        self._about, self._structs, self._seconds = about, state, seconds
        self._saved_at: dict[Block, float] = {}

    def save_when_due(self, block_run: BlockRun) -> None:
        """Save a block if it has trained for long since it began or was saved.

        Args:
          block_run: the block, whose present call is computed.
        """
        since = self._saved_at.setdefault(block_run.block, time.monotonic())
        if time.monotonic() - since >= self._seconds:
            self.save(block_run)

    def save(self, block_run: BlockRun) -> None:
        """Save a block.

        Args:
          block_run: the block, whose present call is computed.

        Raises:
          OSError: if the file cannot be written.
        """
        state = to_plain_arrays(block_run.state)
        arrays = {f"{_STATE}{name}": each for name, each in state.items()}
        arrays |= _history_arrays(block_run.read_pending().history)
        arrays[_ABOUT] = np.frombuffer(self._name(block_run.block).encode(), np.uint8)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_array_file(self._file(block_run.block), arrays)
        self._saved_at[block_run.block] = time.monotonic()

    def read(self, block: Block) -> SavedBlock | None:
        """Return a block as it was saved; None if it was not.

        Args:
          block: the block.
        """
        file = self._file(block)
        try:
            return self._parse(block, read_array_file(file))
        except FileNotFoundError:  # or another worker has finished the block, and removed it
            return None
        except (OSError, ValueError) as error:
            aside = _free_name(file.with_suffix(".damaged"))
            with contextlib.suppress(FileNotFoundError):  # another worker was faster
                file.rename(aside)
            warnings.warn(
                f"the checkpoint {file} cannot be used ({error}): it is now {aside}, and its runs "
                "are trained from their first step",
                stacklevel=2,
            )
            return None

    def remove(self, block: Block) -> None:
        """Remove the file of a block, whose records are written.

        Args:
          block: the block.
        """
        self._file(block).unlink(missing_ok=True)
        self._saved_at.pop(block, None)

    def _file(self, block: Block) -> Path:
        return self._folder / f"{block.name(self._group)}.npz"

    def _name(self, block: Block) -> str:
        """Return text that names the work of a block: another one has other configurations."""
        return f"{self._about} {block.name(self._group)}"

    def _parse(self, block: Block, arrays: dict[str, np.ndarray]) -> SavedBlock:
        try:
            about = arrays.pop(_ABOUT).tobytes().decode()
        except (KeyError, UnicodeDecodeError):
            raise ValueError("it is not one of a block of runs") from None
        if about != self._name(block):
            raise ValueError("it was written for other runs, another layout or another sweep")
        state = {name: arrays.pop(name) for name in list(arrays) if name.startswith(_STATE)}
        plain = {name.removeprefix(_STATE): each for name, each in state.items()}
        lanes = len(jax.tree.leaves(self._structs)[0])
        history = _read_history(arrays, lanes)
        return SavedBlock(from_plain_arrays(plain, self._structs), history)


def count_checkpoints(directory: Path) -> int:
    """Return the number of blocks that are saved in the directory of a sweep.

    Args:
      directory: the directory.
    """
    return sum(1 for _ in (directory / _FOLDER).glob("*.npz"))


def _free_name(file: Path) -> Path:
    """Return a name that no file has: files that were moved aside before are kept."""
    others = (file.with_name(f"{file.name}.{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([file], others) if not os.path.lexists(name))


def _history_arrays(history: Sequence[Scores]) -> dict[str, np.ndarray]:
    """Return the scores of a block by column, those of all recordings in one array."""
    arrays = {
        _STEPS: np.array([scores.step for scores in history]),
        _DIVERGED: np.array([scores.diverged_at for scores in history]),
    }
    for kind in (_METRICS, _MEASURED):
        found: list[Mapping[str, Any]] = [getattr(scores, kind) for scores in history]
        for name in dict.fromkeys(name for each in found for name in each):
            places = [place for place, each in enumerate(found) if name in each]
            label = json.dumps([kind, name])
            arrays[f"{label} at"] = np.array(places)
            arrays[label] = np.array([found[place][name] for place in places])
    return arrays


def _read_history(arrays: Mapping[str, np.ndarray], lanes: int) -> tuple[Scores, ...]:
    try:
        steps, diverged = arrays[_STEPS].astype(int, casting="safe").tolist(), arrays[_DIVERGED]
        columns: dict[str, list[dict[str, Any]]] = {
            kind: [{} for _ in steps] for kind in (_METRICS, _MEASURED)
        }
        for label, values in arrays.items():
            if label.startswith("[") and not label.endswith(" at"):
                kind, name = json.loads(label)
                for place, value in zip(arrays[f"{label} at"].tolist(), values, strict=True):
                    columns[kind][place][name] = _check_lanes(value, lanes)
        found = zip(steps, columns[_METRICS], diverged, columns[_MEASURED], strict=True)
        history = tuple(Scores(step, *each) for step, *each in found)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"it does not hold the scores of a block: {error}") from None
    if not history or any(scores.diverged_at.shape != (lanes,) for scores in history):
        raise ValueError("it does not hold the scores of a block")
    return history


def _check_lanes(value: np.ndarray, lanes: int) -> np.ndarray:
    if value.shape[:1] != (lanes,):
        raise ValueError(f"scores of {value.shape[:1]} runs, expected {lanes}")
    return value
