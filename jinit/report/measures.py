"""Numbers of a candidate that tables and figures share, taken over its seeds."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from jinit.report.facets import Candidate, Row


def hidden_layers(row: Row) -> list[int]:
    """Indices of the layers with an activation: where the fraction of dead units is a number.

    >>> hidden_layers({"activation_std": [1.0, 1.0, 2.0], "dead_fraction": [0.0, 0.1, math.nan]})
    [0, 1]
    """
    dead = numbers(row.get("dead_fraction"))
    known = np.flatnonzero(~np.isnan(dead))
    return known.tolist() or list(range(len(numbers(row.get("activation_std")))))


def numbers(values: Iterable[float | None] | None) -> np.ndarray:
    """A recorded list as an array; what is missing is NaN.

    >>> numbers([1.0, None]).tolist(), numbers(None).tolist()
    ([1.0, nan], [])
    """
    return np.array([math.nan if each is None else each for each in values or ()], float)


def scalars(candidate: Candidate, column: str) -> np.ndarray:
    """A column over the seeds, without what is missing or not finite.

    >>> rows = ({"train_loss": 0.5}, {"train_loss": None})
    >>> scalars(Candidate({}, "it", rows, {}, ()), "train_loss").tolist()
    [0.5]
    """
    values = numbers(row.get(column) for row in candidate.rows)
    return values[np.isfinite(values)]


def hidden(candidate: Candidate, column: str) -> np.ndarray:
    """A per-layer column on the hidden layers: one row per seed; empty where it is not recorded.

    >>> row = {"activation_std": [1.0, 2.0], "dead_fraction": [0.5, math.nan]}
    >>> hidden(Candidate({}, "it", (row,), {}, ()), "activation_std").tolist()
    [[1.0]]
    """
    lines = [(numbers(row.get(column)), hidden_layers(row)) for row in candidate.rows]
    return _stacked([line[kept] for line, kept in lines if line.size > max(kept, default=0)])


def curves(candidate: Candidate, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Recorded steps, and the curve of every seed on them; NaN where a seed has none.

    >>> rows = ({"step": [0, 10], "loss": [1.0, 0.5]}, {"step": [0, 10], "loss": [2.0, None]})
    >>> steps, lines = curves(Candidate({}, "it", rows, {}, ()), "loss")
    >>> steps.tolist(), lines.tolist()
    ([0.0, 10.0], [[1.0, 0.5], [2.0, nan]])
    """
    steps = numbers(max((row.get("step") or [] for row in candidate.rows), key=len, default=[]))
    lines = np.full((len(candidate.rows), steps.size), math.nan)
    for line, row in zip(lines, candidate.rows, strict=True):
        found = numbers(row.get(column))
        line[: found.size] = found[: steps.size]
    return steps, lines


def _stacked(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Lines of the commonest length below one another; a seed whose layers differ is left out."""
    lengths = [line.size for line in lines]
    length = max(set(lengths), key=lengths.count, default=0)
    kept = [line for line in lines if line.size == length]
    return np.array(kept) if length else np.empty((0, 0))
