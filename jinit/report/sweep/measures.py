"""Numbers of a candidate over its seeds, shared by tables and figures."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from jinit.report.sweep.candidate import Candidate, RecordRow


@dataclass(frozen=True)
class Curves:
    """Learning curves of one candidate.

    Args:
      steps: the recorded steps.
      lines: array `[seeds, steps]`; NaN where a seed has no value.

    >>> Curves(np.array([0.0, 10.0]), np.ones((3, 2))).lines.shape
    (3, 2)
    """

    steps: np.ndarray
    lines: np.ndarray


def float_array(values: Iterable[float | None] | None) -> np.ndarray:
    """Return a recorded list as an array; missing values are NaN.

    >>> float_array([1.0, None]).tolist(), float_array(None).tolist()
    ([1.0, nan], [])
    """
    return np.array([math.nan if value is None else value for value in values or ()], float)


def finite_values(candidate: Candidate, column: str) -> np.ndarray:
    """Return the finite values of a column over the seeds.

    >>> rows = ({"train_loss": 0.5}, {"train_loss": None})
    >>> finite_values(Candidate({}, "zeros", rows, {}, ()), "train_loss").tolist()
    [0.5]
    """
    values = float_array(row.get(column) for row in candidate.records)
    return values[np.isfinite(values)]


def hidden_layer_indices(row: RecordRow) -> list[int]:
    """Return the indices of the layers with an activation: `dead_fraction` is a number there.

    >>> hidden_layer_indices(
    ...     {"activation_std": [1.0, 1.0, 2.0], "dead_fraction": [0.0, 0.1, math.nan]}
    ... )
    [0, 1]
    """
    dead = float_array(row.get("dead_fraction"))
    known = np.flatnonzero(~np.isnan(dead))
    return known.tolist() or list(range(len(float_array(row.get("activation_std")))))


def layer_values(candidate: Candidate, column: str) -> np.ndarray:
    """Return a per-layer column as an array `[seeds, layers]`; empty if it is not recorded.

    A seed whose number of layers is not the most common one is left out.

    >>> rows = ({"activation_std": [1.0, 2.0]}, {"activation_std": None})
    >>> layer_values(Candidate({}, "zeros", rows, {}, ()), "activation_std").tolist()
    [[1.0, 2.0]]
    """
    return _stack_lines([float_array(row.get(column)) for row in candidate.records])


def hidden_layer_values(candidate: Candidate, column: str) -> np.ndarray:
    """Return a per-layer column of the hidden layers as an array `[seeds, layers]`.

    It is empty if the column is not recorded.

    >>> row = {"activation_std": [1.0, 2.0], "dead_fraction": [0.5, math.nan]}
    >>> hidden_layer_values(Candidate({}, "zeros", (row,), {}, ()), "activation_std").tolist()
    [[1.0]]
    """
    lines = [(float_array(row.get(column)), hidden_layer_indices(row)) for row in candidate.records]
    return _stack_lines([line[kept] for line, kept in lines if line.size > max(kept, default=0)])


def seed_curves(candidate: Candidate, column: str) -> Curves:
    """Return the recorded steps, and the curve of every seed at these steps.

    >>> rows = ({"step": [0, 10], "loss": [1.0, 0.5]}, {"step": [0, 10], "loss": [2.0, None]})
    >>> curves = seed_curves(Candidate({}, "zeros", rows, {}, ()), "loss")
    >>> curves.steps.tolist(), curves.lines.tolist()
    ([0.0, 10.0], [[1.0, 0.5], [2.0, nan]])
    """
    recorded = [row.get("step") or [] for row in candidate.records]
    steps = float_array(max(recorded, key=len, default=[]))
    lines = np.full((len(candidate.records), steps.size), math.nan)
    for line, row in zip(lines, candidate.records, strict=True):
        values = float_array(row.get(column))
        line[: values.size] = values[: steps.size]
    return Curves(steps, lines)


def last_values(candidate: Candidate, column: str) -> np.ndarray:
    """Return the last recorded value of the curve of every seed that has one; NaN if it diverged.

    Curves of runs that stopped early are shorter than others.

    >>> rows = ({"loss": [2.0, 1.0, 0.5]}, {"loss": [2.0, 1.5]}, {"loss": []})
    >>> last_values(Candidate({}, "zeros", rows, {}, ()), "loss").tolist()
    [0.5, 1.5]
    """
    lines = [float_array(row.get(column)) for row in candidate.records]
    return np.array([line[-1] for line in lines if line.size])


def _stack_lines(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Return the non-empty lines of the most common length as one array."""
    lengths = [line.size for line in lines if line.size]
    length = max(set(lengths), key=lengths.count, default=0)
    kept = [line for line in lines if line.size == length]
    return np.array(kept) if length else np.empty((0, 0))
