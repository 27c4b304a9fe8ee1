"""A panel of a standard deviation by layer, of activations or gradients, drawn on given axes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.curve_panel import BAND_OPACITY, LineStyles
from jinit.report.sweep.measures import hidden_layer_indices, layer_values
from jinit.report.sweep.profile import MeanProfile, mean_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNAL_COLUMNS = {
    "activation_std": "std of layer outputs at step 0",
    "gradient_std": "std of their gradients at step 0",
}
"""Columns of a record that are drawn by layer, with the labels of their axes."""

# The smallest normal float32; a smaller std is drawn like zero.
_SMALLEST_STD = 1e-38


def draw_signal(
    axes: "Axes", candidates: Sequence[Candidate], styles: LineStyles, column: str
) -> None:
    """Draw a std by layer at step 0; zero and infinity are triangles at the edges.

    Args:
      axes: the axes to draw on.
      candidates: the candidates; the first is drawn on top.
      styles: line options by name.
      column: `activation_std` or `gradient_std`.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> row = {"activation_std": [1.0, 0.5], "dead_fraction": [0.5, math.nan]}
    >>> ones = Candidate({}, "ones", (row,), {}, ())
    >>> draw_signal(axes, [ones], {"ones": {"color": "black"}}, "activation_std")
    >>> [label.get_text() for label in axes.get_xticklabels()]
    ['1', 'output']
    """
    stds = {each.name: layer_values(each, column) for each in candidates}
    profiles = {name: mean_profile(lines, logarithmic=True) for name, lines in stds.items()}
    edges = _edges(profiles.values())
    axes.set_yscale("log")
    for rank, (name, profile) in enumerate(profiles.items()):
        options = {**styles[name], "zorder": 4 - rank / len(profiles)}
        _draw_stds(axes, stds[name], profile, options, edges)
    _label_layers(axes, candidates)


def _edges(profiles: Iterable[MeanProfile]) -> tuple[float, float]:
    """Return the heights at which zero and infinity are drawn."""
    means = np.concatenate([profile.mean for profile in profiles] or [np.array([])])
    means = means[np.isfinite(means)]
    if not means.size:
        return 0.1, 10.0
    return max(_SMALLEST_STD, means.min() / 10), means.max() * 10


def _draw_stds(
    axes: "Axes",
    lines: np.ndarray,
    profile: MeanProfile,
    options: Mapping[str, Any],
    edges: tuple[float, float],
) -> None:
    layers, color = np.arange(1, lines.shape[1] + 1), options["color"]
    low, high = edges
    mean = np.where(_is_zero(lines).all(axis=0), low, profile.mean) if lines.size else []
    axes.plot(layers, np.where(np.isinf(lines).any(axis=0), high, mean), **options)
    axes.fill_between(
        layers, profile.low, profile.high, color=color, alpha=BAND_OPACITY, linewidth=0
    )
    hollow = {"color": color, "markerfacecolor": "white", "markersize": 4}
    for marker, height, is_outside in (
        ("v", low, _is_zero(lines)),
        ("^", high, np.isinf(lines)),
    ):
        outside = layers[is_outside.any(axis=0)]
        axes.plot(outside, np.full(outside.size, height), marker, zorder=5, **hollow)


def _is_zero(lines: np.ndarray) -> np.ndarray:
    return lines <= _SMALLEST_STD


def has_zero_std(candidates: Iterable[Candidate]) -> bool:
    """Return whether a std at step 0 is zero in float32, so that a triangle is drawn.

    >>> has_zero_std([Candidate({}, "zeros", ({"activation_std": [1.0, 0.0]},), {}, ())])
    True
    """
    return any(
        bool(_is_zero(layer_values(each, column)).any())
        for each in candidates
        for column in SIGNAL_COLUMNS
    )


def _label_layers(axes: "Axes", candidates: Sequence[Candidate]) -> None:
    """Label about nine of the hidden layers by number, and the output by name."""
    rows = [row for candidate in candidates for row in candidate.records]
    row = max(rows, key=_layer_count, default={})
    count, hidden = _layer_count(row), len(hidden_layer_indices(row))
    ticks = list(range(1, hidden + 1, max(1, math.ceil(hidden / 9))))
    names = [str(tick) for tick in ticks]
    if count > hidden:
        ticks, names = [*ticks, count], [*names, "output"]
    axes.set_xticks(ticks, names)


def _layer_count(row: Mapping[str, Any]) -> int:
    return len(row.get("activation_std") or ())
