"""Track which axes of a parameter lie along the axes of a value computed from it."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from jinit.model.axis_roles import IN, AxisRole
from jinit.model.form_numbers import reduce_form
from jinit.model.operation import Operation
from jinit.model.weight_forms import CHANGING, PLAIN, WeightForm

_Shape = tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """A run of entries along one axis of a parameter."""

    axis: int
    size: int
    devices: int = 1
    """Number of devices that each hold a run of this size."""


Segments = tuple[Segment, ...]
"""Segments of parameters along one axis of a value, the slowest first.

Empty where the parameter is repeated along the axis."""


@dataclass(frozen=True)
class ConsumedAxis:
    """An axis of a parameter that an operation has summed over or indexed."""

    axis: int
    role: AxisRole
    size: int
    """Number of entries."""


FactorKind = Literal["", "scale", "twin", "factor", "right"]
"""How a value depends on a parameter: empty if the parameter is the whole value, `scale` if it
scales another parameter, `twin` if both lie along the same axes, `factor` if its entries do not
cover the value, `right` if it is the right factor of a matrix product of parameters."""


@dataclass(frozen=True)
class TrackedWeight:
    """One parameter inside a value that is computed from parameters only."""

    leaf: int
    """Index of the parameter."""
    axes: tuple[Segments, ...] | None
    """Segments along every axis of the value; None after an operation that mixes the axes."""
    consumed_axes: tuple[ConsumedAxis, ...] = ()
    """Axes that earlier operations have summed over or indexed."""
    factor_kind: FactorKind = ""
    form: WeightForm = PLAIN
    """How the value depends on the parameter's numbers."""

    @property
    def segment_count(self) -> int:
        """Number of distinguishable segments; -1 if the axes are unknown."""
        return -1 if self.axes is None else sum(map(len, self.axes))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of its segments, except those of size one."""
        return tuple(
            segment.size for axis in self.axes or () for segment in axis if segment.size > 1
        )

    def replace_axes(self, axes: Iterable[Segments]) -> "TrackedWeight":
        """Return the same parameter with other segments along the axes of the value."""
        return replace(self, axes=tuple(axes))

    def forget_axes(self, reason: str = "") -> "TrackedWeight":
        """Return the same parameter after an operation that cannot be followed.

        Args:
          reason: why not, as a clause.
        """
        return replace(self, axes=None, form=self.form.because(self.form.reason or reason))

    def change(self) -> "TrackedWeight":
        """Return the same parameter in a value that is another one in every iteration."""
        return replace(self, axes=None, form=CHANGING)

    def consume(self, segments: Iterable[Segment], role: AxisRole) -> tuple[ConsumedAxis, ...]:
        """Return the consumed axes, these segments included."""
        used = (ConsumedAxis(segment.axis, role, segment.size) for segment in segments)
        return (*self.consumed_axes, *used)


def merge_weights(weights: Iterable[TrackedWeight]) -> tuple[TrackedWeight, ...]:
    """Return every parameter once, with the axes of which most segments are known."""
    best: dict[int, TrackedWeight] = {}
    for weight in weights:
        if weight.leaf not in best or weight.segment_count > best[weight.leaf].segment_count:
            best[weight.leaf] = weight
    return tuple(best[leaf] for leaf in sorted(best))


def move_weight(weight: TrackedWeight, operation: Operation, result: int = 0) -> TrackedWeight:
    """Return the parameter after an operation of `AXIS_MOVES`."""
    if operation.name in REDUCTIONS:
        weight = replace(weight, form=reduce_form(operation, weight.form))
    if weight.axes is None:
        return weight
    before, after = operation.operand_shapes[0], operation.shapes[result]
    if operation.name in _MIXING_REDUCTIONS:
        return weight.forget_axes()
    if operation.name == "reduce_sum":
        weight = _consume_axes(weight, operation.params["axes"])
    if operation.name == "pad":
        weight = replace(weight, factor_kind=weight.factor_kind or "factor")
    move = AXIS_MOVES[operation.name]
    return weight.replace_axes(move(weight.axes or (), before, after, operation.params))


def _consume_axes(weight: TrackedWeight, axes: Sequence[Any]) -> TrackedWeight:
    """Return the parameter after a sum over axes; summed axes count towards fan-in."""
    segments = [
        segment for axis in axes if isinstance(axis, int) for segment in (weight.axes or ())[axis]
    ]
    return replace(weight, consumed_axes=weight.consume(segments, IN))


def broadcast_weight(weight: TrackedWeight, before: _Shape, after: _Shape) -> TrackedWeight:
    """Return the parameter in the result of an elementwise operation.

    It is repeated along axes where it has size one.
    """
    if weight.axes is None:
        return weight
    if len(before) != len(after):
        return weight.replace_axes([()] * len(after))
    triples = zip(weight.axes, before, after, strict=True)
    return weight.replace_axes(axis if old == new else () for axis, old, new in triples)


def _transpose(
    axes: Sequence[Segments], before: _Shape, after: _Shape, params: Any
) -> list[Segments]:
    del before, after
    return [axes[axis] for axis in params["permutation"]]


def _broadcast(
    axes: Sequence[Segments], before: _Shape, after: _Shape, params: Any
) -> list[Segments]:
    result: list[Segments] = [()] * len(after)
    for source, target in enumerate(params["broadcast_dimensions"]):
        if before[source] == after[target]:
            result[target] = axes[source]
    return result


def _drop_axes(name: str) -> Callable[..., list[Segments]]:
    def drop(
        axes: Sequence[Segments], before: _Shape, after: _Shape, params: Any
    ) -> list[Segments]:
        del before, after
        return [axis for number, axis in enumerate(axes) if number not in params[name]]

    return drop


def _drop_axis(axes: Sequence[Segments], dropped: int) -> list[Segments]:
    return [axis for number, axis in enumerate(axes) if number != dropped]


def _resize(axes: Sequence[Segments], before: _Shape, after: _Shape, params: Any) -> list[Segments]:
    """Shorten sliced axes; padding and concatenation add no entries of a parameter."""
    del params
    return [
        _shorten_axis(axis, new) if new < old else axis
        for axis, old, new in zip(axes, before, after, strict=True)
    ]


def _tile(axes: Sequence[Segments], before: _Shape, after: _Shape, params: Any) -> list[Segments]:
    """Keep tiled axes, except those with one entry, along which the parameter is repeated."""
    del params
    triples = zip(axes, before, after, strict=True)
    return [axis if old > 1 or old == new else () for axis, old, new in triples]


def _shorten_axis(axis: Segments, size: int) -> Segments:
    """Return segments for `size` consecutive entries of an axis, rounded up to whole rows."""
    if not axis:
        return axis
    first, *others = axis
    inner = math.prod(segment.size for segment in others)
    return (replace(first, size=-(-size // inner)), *others)


def _reshape(
    axes: Sequence[Segments], before: _Shape, after: _Shape, params: Any
) -> list[Segments]:
    """Redistribute the segments over the new axes, splitting where an axis ends."""
    order = params["dimensions"] or range(len(axes))
    runs = [run for axis in order for run in _split_segments(axes[axis], before[axis])]
    return [_fill_axis(runs, size) for size in after]


def _split_segments(axis: Segments, size: int) -> list[tuple[int, Segments]]:
    """Return the length of every run of an axis with its segments.

    Segments that cover the axis are separate runs; otherwise the axis is one run.
    """
    if size == 1:
        return []
    if math.prod(segment.size for segment in axis) == size:
        return [(segment.size, (segment,)) for segment in axis if segment.size > 1]
    return [(size, axis)]


def _fill_axis(runs: list[tuple[int, Segments]], size: int) -> Segments:
    """Take the next runs that fill an axis of this size, splitting the last one if necessary."""
    taken: list[Segment] = []
    while size > 1 and runs:
        length, axis = runs.pop(0)
        if size % length == 0:
            taken += axis
            size //= length
            continue
        rest = length // size if length % size == 0 else length
        taken += _shorten_axis(axis, size) if rest < length else axis
        runs.insert(0, (rest, tuple(replace(segment, size=rest, devices=1) for segment in axis)))
        size = 1
    return tuple(taken)


AXIS_MOVES: dict[str, Callable[..., list[Segments]]] = {
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast,
    "squeeze": _drop_axes("dimensions"),
    "unstack": lambda axes, before, after, params: _drop_axis(axes, params["axis"]),
    "reshape": _reshape,
    "rev": lambda axes, *_: list(axes),
    "tile": _tile,
} | dict.fromkeys(("slice", "dynamic_slice", "split", "pad"), _resize)
"""How operations on one array move the segments along its axes, by name of the operation.

All of them move entries without changing them, except the `REDUCTIONS`, which are added below.
Further operands are indices."""
_MIXING_REDUCTIONS = frozenset(
    {"reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"}
)
REDUCTIONS = dict.fromkeys(
    ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"),
    _drop_axes("axes"),
)
"""Operations that combine all entries along some axes, which the result lacks."""
AXIS_MOVES |= REDUCTIONS
