"""A panel of a standard deviation by layer, of activations or gradients, drawn on given axes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.curve_panel import BAND_OPACITY, LineStyles
from jinit.report.sweep.measures import layer_values
from jinit.report.sweep.profile import MeanProfile, mean_profile
from jinit.report.sweep.signal_data import is_zero_std, layer_ticks, signal_edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST_DRAWN = 1e100


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
    >>> row = {"activation_std": [1.0, 0.5], "dead_fraction": [0.5, np.nan]}
    >>> ones = Candidate({}, "ones", (row,), {}, ())
    >>> draw_signal(axes, [ones], {"ones": {"color": "black"}}, "activation_std")
    >>> [label.get_text() for label in axes.get_xticklabels()]
    ['1', 'output']
    """
    stds = {each.name: layer_values(each, column) for each in candidates}
    profiles = {name: _drawable_profile(lines) for name, lines in stds.items()}
    edges = signal_edges(profiles.values())
    axes.set_yscale("log")
    for rank, (name, profile) in enumerate(profiles.items()):
        options = {**styles[name], "zorder": 4 - rank / len(profiles)}
        _draw_stds(axes, stds[name], profile, options, edges)
    axes.set_xticks(*layer_ticks(candidates))


def _drawable_profile(lines: np.ndarray) -> MeanProfile:
    """Return the geometric means, cut where a logarithmic axis has no room for its margins."""
    profile = mean_profile(lines, logarithmic=True)
    ends = profile.mean, profile.low, profile.high
    return MeanProfile(*(np.minimum(each, _LARGEST_DRAWN) for each in ends))


def _draw_stds(
    axes: "Axes",
    lines: np.ndarray,
    profile: MeanProfile,
    options: Mapping[str, Any],
    edges: tuple[float, float],
) -> None:
    layers, color = np.arange(1, lines.shape[1] + 1), options["color"]
    low, high = edges
    mean = np.where(is_zero_std(lines).all(axis=0), low, profile.mean) if lines.size else []
    axes.plot(layers, np.where(np.isinf(lines).any(axis=0), high, mean), **options)
    axes.fill_between(
        layers, profile.low, profile.high, color=color, alpha=BAND_OPACITY, linewidth=0
    )
    hollow = {"color": color, "markerfacecolor": "white", "markersize": 4}
    for marker, height, is_outside in (
        ("v", low, is_zero_std(lines)),
        ("^", high, np.isinf(lines)),
    ):
        outside = layers[is_outside.any(axis=0)]
        axes.plot(outside, np.full(outside.size, height), marker, zorder=5, **hollow)
