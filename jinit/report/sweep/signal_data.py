"""Standard deviations by layer as data: their edges and ticks."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.measures import hidden_layer_indices, layer_values
from jinit.report.sweep.profile import MeanProfile

SIGNAL_COLUMNS = {
    "activation_std": "std of layer outputs at step 0",
    "gradient_std": "std of their gradients at step 0",
}
"""Columns of a record that are drawn by layer, with the labels of their axes."""

# The smallest normal float32; a smaller std is drawn like zero.
_SMALLEST_STD = 1e-38


def signal_edges(profiles: Iterable[MeanProfile]) -> tuple[float, float]:
    """Return the heights at which zero and infinity are drawn.

    Args:
      profiles: the means that are drawn.

    >>> ones = np.array([1.0])
    >>> signal_edges([MeanProfile(ones, ones, ones)])
    (0.1, 10.0)
    """
    means = np.concatenate([profile.mean for profile in profiles] or [np.array([])])
    means = means[np.isfinite(means)]
    if not means.size:
        return 0.1, 10.0
    return max(_SMALLEST_STD, float(means.min()) / 10), float(means.max()) * 10


def is_zero_std(lines: np.ndarray) -> np.ndarray:
    """Return where a std is zero in float32.

    Args:
      lines: array of any shape.

    >>> is_zero_std(np.array([0.0, 1.0])).tolist()
    [True, False]
    """
    return lines <= _SMALLEST_STD


def has_zero_std(candidates: Iterable[Candidate]) -> bool:
    """Return whether a std at step 0 is zero in float32, so that a triangle is drawn.

    >>> has_zero_std([Candidate({}, "zeros", ({"activation_std": [1.0, 0.0]},), {}, ())])
    True
    """
    return any(
        bool(is_zero_std(layer_values(each, column)).any())
        for each in candidates
        for column in SIGNAL_COLUMNS
    )


def layer_ticks(candidates: Sequence[Candidate]) -> tuple[list[int], list[str]]:
    """Return places and labels of about nine hidden layers by number, and of the output by name.

    Args:
      candidates: the candidates, of which the deepest network is labeled.

    >>> row = {"activation_std": [1.0, 0.5], "dead_fraction": [0.5, math.nan]}
    >>> layer_ticks([Candidate({}, "ones", (row,), {}, ())])
    ([1, 2], ['1', 'output'])
    """
    rows = [row for candidate in candidates for row in candidate.records]
    row = max(rows, key=_layer_count, default={})
    count, hidden = _layer_count(row), len(hidden_layer_indices(row))
    ticks = list(range(1, hidden + 1, max(1, math.ceil(hidden / 9))))
    names = [str(tick) for tick in ticks]
    if count > hidden:
        ticks, names = [*ticks, count], [*names, "output"]
    return ticks, names


def _layer_count(row: Mapping[str, Any]) -> int:
    return len(row.get("activation_std") or ())
