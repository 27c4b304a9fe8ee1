"""The panel of activation std by layer, drawn on axes that somebody else lays out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.curve_panel import BAND_OPACITY, Styles
from jinit.report.facets import Candidate
from jinit.report.measures import hidden_layers, numbers
from jinit.report.profile import profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Float32 holds no normal number below this; a std beneath it is drawn as zero is.
_SMALLEST = 1e-38


def draw_signal(axes: "Axes", candidates: Sequence[Candidate], styles: Styles) -> None:
    """Activation std by layer at step 0; zero and infinity at the edge, as hollow triangles.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> row = {"activation_std": [1.0, 0.5], "dead_fraction": [0.5, math.nan]}
    >>> draw_signal(axes, [Candidate({}, "it", (row,), {}, ())], {"it": {"color": "black"}})
    >>> [label.get_text() for label in axes.get_xticklabels()]
    ['1', 'output']
    """
    signals = {each.label: _by_layer(each) for each in candidates}
    profiles = {label: profile(lines, logarithmic=True) for label, lines in signals.items()}
    known = np.concatenate([each.mean for each in profiles.values()] or [np.array([])])
    known = known[np.isfinite(known)]
    floor = max(_SMALLEST, known.min() / 10) if known.size else 0.1
    ceiling = known.max() * 10 if known.size else 10.0
    axes.set_yscale("log")
    for depth, (label, over) in enumerate(profiles.items()):
        lines = signals[label]
        layers = np.arange(1, lines.shape[1] + 1)
        options = {**styles[label], "zorder": 4 - depth / len(profiles)}
        mean = np.where(_gone(lines).all(axis=0), floor, over.mean) if lines.size else []
        axes.plot(layers, np.where(np.isinf(lines).any(axis=0), ceiling, mean), **options)
        axes.fill_between(
            layers, over.low, over.high, color=options["color"], alpha=BAND_OPACITY, linewidth=0
        )
        hollow = {"color": options["color"], "markerfacecolor": "white", "markersize": 4}
        for marker, height, beyond in (("v", floor, _gone(lines)), ("^", ceiling, np.isinf(lines))):
            at = layers[beyond.any(axis=0)]
            axes.plot(at, np.full(at.size, height), marker, zorder=5, **hollow)
    _number_layers(axes, candidates)


def _gone(lines: np.ndarray) -> np.ndarray:
    return lines <= _SMALLEST


def has_zero(candidates: Iterable[Candidate]) -> bool:
    """Whether a std at step 0 is zero to float32, and is drawn as a triangle.

    >>> has_zero([Candidate({}, "it", ({"activation_std": [1.0, 0.0]},), {}, ())])
    True
    """
    return any(bool(_gone(_by_layer(each)).any()) for each in candidates)


def _by_layer(candidate: Candidate) -> np.ndarray:
    lines = [numbers(row.get("activation_std")) for row in candidate.rows]
    length = max((line.size for line in lines), default=0)
    kept = [line for line in lines if line.size == length]
    return np.array(kept, float).reshape(len(kept), length)


def _number_layers(axes: "Axes", candidates: Sequence[Candidate]) -> None:
    """Numbers for hidden layers, thinned to about nine, and the output by name."""
    row = max((row for each in candidates for row in each.rows), key=_layer_count, default={})
    count, inside = _layer_count(row), len(hidden_layers(row))
    ticks = list(range(1, inside + 1, max(1, math.ceil(inside / 9))))
    names = [str(tick) for tick in ticks]
    if count > inside:
        ticks, names = [*ticks, count], [*names, "output"]
    axes.set_xticks(ticks, names)


def _layer_count(row: Mapping[str, Any]) -> int:
    return len(row.get("activation_std") or ())
