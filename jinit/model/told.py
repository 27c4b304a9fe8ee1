"""Axes that a user states, for parameters whose use cannot be read off the computation."""

import difflib
import math
from collections.abc import Mapping, Sequence

from jinit.model.leaves import Leaf
from jinit.model.paths import glob
from jinit.model.roles import BATCH, IN, LOOKUP, OUT, SPATIAL, STACKED, UNIT

Axes = tuple[str, ...]
_WORDS = (IN, OUT, SPATIAL, BATCH, STACKED, LOOKUP, UNIT)


def stated(
    axes: Mapping[str, Sequence[str]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Axes]:
    """By path, the axes of every parameter that a glob matches; the first that does counts.

    Raises:
      ValueError: a glob that matches nothing, an unknown word, as many words as there are no axes,
        or axes of which none is summed over or looked up.
    """
    found: dict[str, Axes] = {}
    for pattern, words in axes.items():
        paths = [path for path in shapes if glob(pattern).fullmatch(path)]
        if not paths:
            raise ValueError(f"told: {pattern!r} matches no parameter; {_near(pattern, shapes)}")
        for path in paths:
            found.setdefault(path, _checked(path, words, shapes[path]))
    return found


def as_told(leaf: Leaf, axes: Axes) -> dict[str, object]:
    """What the axes say of a parameter; copies along batch and stacked axes do not count."""
    role = "embedding" if LOOKUP in axes else "kernel"

    def product(*words: str) -> int:
        sizes = zip(leaf.shape, axes, strict=True)
        return math.prod(size for size, word in sizes if word in words)

    steps = {"groups": 1, "strides": (), "dilation": ()}
    fan_in = 1 if role == "embedding" else product(IN, SPATIAL)
    return {"role": role, "axes": axes, "fan_in": fan_in, "fan_out": product(OUT, SPATIAL)} | steps


def _checked(path: str, words: Sequence[str], shape: tuple[int, ...]) -> Axes:
    if isinstance(words, str):
        raise TypeError(f"told: expected a word for every axis of {path}, got the text {words!r}")
    for word in words:
        if word not in _WORDS:
            near = difflib.get_close_matches(str(word), _WORDS, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"told: unknown word {word!r} for {path}; an axis is {', '.join(_WORDS)}{meant}"
            )
    if len(words) != len(shape):
        raise ValueError(
            f"told: {path} has shape {shape}, so {len(shape)} words, got {len(words)}: "
            f"{tuple(words)}; a glob must match parameters of one rank"
        )
    if not {IN, SPATIAL, LOOKUP}.intersection(words):
        raise ValueError(
            f"told: no axis of {path} is `in`, `spatial` or `lookup`, so that nothing is summed or "
            "looked up; biases and scales need no axes: give them a rule by path"
        )
    return tuple(words)


def give_axes(path: str, shape: Sequence[int]) -> str:
    """How to say by hand what the axes of a parameter do."""
    words = (*["spatial"] * (len(shape) - 2), "in", "out")[-len(shape) :]
    return f"give its axes by hand, such as model.told({{{path!r}: {words}}})"


def _near(pattern: str, paths: Mapping[str, object]) -> str:
    wanted = pattern.replace("*", "")
    near = difflib.get_close_matches(wanted, paths, n=3, cutoff=0.4) or list(paths)[:3]
    return f"near it: {', '.join(near)}"
