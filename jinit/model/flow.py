"""A parameter on its way to where it is used: which of its axes lie along those of a value."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinit.model.graph import Operation

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A run along one axis of a parameter."""

    axis: int
    size: int
    devices: int = 1
    """How many devices hold a run of this size each."""


Axis = tuple[Piece, ...]
"""What lies along one axis of a value, the slowest piece first; empty where it is repeated."""


@dataclass(frozen=True)
class Weight:
    """One parameter inside a value that is made of parameters only."""

    leaf: int
    axes: tuple[Axis, ...] | None
    """For every axis of the value; None once an operation has mixed them."""
    settled: tuple[tuple[int, str, int], ...] = ()
    """Axes used up on the way: which one, its role, and how many entries it has."""
    part: str = ""
    """What it is of the value: `scale` of another parameter, `factor` whose entries do not reach
    all of it, `right` factor of a product of parameters; empty if it is the whole."""

    @property
    def known(self) -> int:
        """How many pieces of the parameter can be told apart; -1 if none can ever be."""
        return -1 if self.axes is None else sum(map(len, self.axes))

    def laid(self, axes: Iterable[Axis]) -> "Weight":
        """The same parameter along other axes."""
        return replace(self, axes=tuple(axes))

    def mixed(self) -> "Weight":
        """The same parameter after an operation that cannot be followed."""
        return replace(self, axes=None)


def merged(weights: Iterable[Weight]) -> tuple[Weight, ...]:
    """Every parameter once, in the layout that shows most of it."""
    best: dict[int, Weight] = {}
    for weight in weights:
        if weight.leaf not in best or weight.known > best[weight.leaf].known:
            best[weight.leaf] = weight
    return tuple(best[leaf] for leaf in sorted(best))


def moved(weight: Weight, operation: Operation, result: int = 0) -> Weight:
    """The parameter after an operation of `MOVES`, which leaves entries as they are."""
    if weight.axes is None:
        return weight
    before, after = operation.operand_shapes[0], operation.shapes[result]
    if operation.name in _SELECTING:
        return weight.mixed()
    if operation.name == "reduce_sum":
        weight = _summed(weight, operation.params["axes"])
    if operation.name == "pad":
        weight = replace(weight, part=weight.part or "factor")
    move = MOVES[operation.name]
    return weight.laid(move(weight.axes or (), before, after, operation.params))


def _summed(weight: Weight, axes: Sequence[Any]) -> Weight:
    """Entries that are added up count among the products that are summed."""
    pieces = [
        piece for axis in axes if isinstance(axis, int) for piece in (weight.axes or ())[axis]
    ]
    used = tuple((piece.axis, "in", piece.size) for piece in pieces)
    return replace(weight, settled=weight.settled + used)


def stretched(weight: Weight, before: Shape, after: Shape) -> Weight:
    """The parameter in the result of an elementwise operation, repeated along axes of size one."""
    if weight.axes is None:
        return weight
    if len(before) != len(after):
        return weight.laid([()] * len(after))
    sized = zip(weight.axes, before, after, strict=True)
    return weight.laid(axis if old == new else () for axis, old, new in sized)


def _transpose(axes: Sequence[Axis], before: Shape, after: Shape, params: Any) -> list[Axis]:
    del before, after
    return [axes[axis] for axis in params["permutation"]]


def _broadcast(axes: Sequence[Axis], before: Shape, after: Shape, params: Any) -> list[Axis]:
    laid: list[Axis] = [()] * len(after)
    for source, target in enumerate(params["broadcast_dimensions"]):
        if before[source] == after[target]:
            laid[target] = axes[source]
    return laid


def _dropped(name: str) -> Callable[..., list[Axis]]:
    def drop(axes: Sequence[Axis], before: Shape, after: Shape, params: Any) -> list[Axis]:
        del before, after
        return [axis for number, axis in enumerate(axes) if number not in params[name]]

    return drop


def _without(axes: Sequence[Axis], dropped: int) -> list[Axis]:
    return [axis for number, axis in enumerate(axes) if number != dropped]


def _resized(axes: Sequence[Axis], before: Shape, after: Shape, params: Any) -> list[Axis]:
    """Slices shorten an axis; what is padded or concatenated has no more of a parameter."""
    del params
    return [
        shortened(axis, new) if new < old else axis
        for axis, old, new in zip(axes, before, after, strict=True)
    ]


def _tiled(axes: Sequence[Axis], before: Shape, after: Shape, params: Any) -> list[Axis]:
    """Nothing of a parameter lies along an axis that had one entry."""
    del params
    sized = zip(axes, before, after, strict=True)
    return [axis if old > 1 or old == new else () for axis, old, new in sized]


def shortened(axis: Axis, size: int) -> Axis:
    """`size` consecutive entries of an axis, as far as pieces can say it."""
    if not axis:
        return axis
    first, *others = axis
    inner = math.prod(piece.size for piece in others)
    return (replace(first, size=-(-size // inner)), *others)


def _reshaped(axes: Sequence[Axis], before: Shape, after: Shape, params: Any) -> list[Axis]:
    """Pieces in their order, dealt out to the new axes and cut where one ends."""
    order = params["dimensions"] or range(len(axes))
    runs = [run for axis in order for run in _runs(axes[axis], before[axis])]
    return [_taken(runs, size) for size in after]


def _runs(axis: Axis, size: int) -> list[tuple[int, Axis]]:
    """The pieces of an axis one by one, if they make up all of it, else together."""
    if size == 1:
        return []
    if math.prod(piece.size for piece in axis) == size:
        return [(piece.size, (piece,)) for piece in axis if piece.size > 1]
    return [(size, axis)]


def _taken(runs: list[tuple[int, Axis]], size: int) -> Axis:
    """The next runs that fill an axis; the last of them is cut if it is too long."""
    taken: list[Piece] = []
    while size > 1 and runs:
        length, axis = runs.pop(0)
        if size % length == 0:
            taken += axis
            size //= length
            continue
        rest = length // size if length % size == 0 else length
        taken += shortened(axis, size) if rest < length else axis
        runs.insert(0, (rest, tuple(replace(piece, size=rest, devices=1) for piece in axis)))
        size = 1
    return tuple(taken)


MOVES: dict[str, Callable[..., list[Axis]]] = {
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast,
    "squeeze": _dropped("dimensions"),
    "unstack": lambda axes, before, after, params: _without(axes, params["axis"]),
    "reshape": _reshaped,
    "rev": lambda axes, *_: list(axes),
    "tile": _tiled,
} | dict.fromkeys(("slice", "dynamic_slice", "split", "pad"), _resized)
"""Operations on one array that leave its entries as they are; other operands are positions."""
_SELECTING = frozenset({"reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"})
REDUCTIONS = dict.fromkeys(
    ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"),
    _dropped("axes"),
)
MOVES |= REDUCTIONS
