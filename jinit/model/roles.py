"""How parameters meet signals: what each axis does there, and how much is summed over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jinit.model.flow import Axis, Piece, Weight
from jinit.model.graph import Operation

IN, OUT, BATCH, SPATIAL = "in", "out", "batch", "spatial"
STACKED, LOOKUP, UNIT = "stacked", "lookup", "unit"


@dataclass(frozen=True)
class Use:
    """One place where a parameter meets a signal."""

    leaf: int
    kind: str
    """`kernel`, `embedding`, `position`, `bias`, `scale`, `token`, or `unread`."""
    roles: tuple[tuple[int, str], ...] = ()
    """Axes of the parameter and what they do; axes that are not named were used up before."""
    fan_in: float | None = None
    """Products that one output sums over."""
    fan_out: float | None = None
    """Outputs that one input goes into."""
    groups: int = 1
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    """Steps between inputs: the stride of a transposed convolution."""
    outputs: int = 0
    """Of a kernel, how many there are, its copies' included."""
    direct: bool = True
    """Whether a signal or a constant is on the other side, and not another parameter."""

    @classmethod
    def embedding(cls, weight: Weight, roles: dict[int, str]) -> "Use":
        """Rows are looked up: nothing is summed."""
        outputs = [
            piece.size * piece.devices
            for axis in weight.axes or ()
            for piece in axis
            if roles.get(piece.axis) == OUT
        ]
        return cls(weight.leaf, "embedding", tuple(sorted(roles.items())), 1, math.prod(outputs))

    @classmethod
    def right(cls, weight: Weight, free: Sequence[Piece], roles: dict[int, str]) -> "Use":
        """A kernel applied to another parameter, whatever becomes of the result."""
        settled = {axis: role for axis, role, _ in weight.settled}
        outputs = [piece.size for piece in free]
        outputs += [size for _, role, size in weight.settled if role == OUT]
        return cls(
            weight.leaf,
            "kernel",
            tuple(sorted((roles | {piece.axis: OUT for piece in free} | settled).items())),
            math.prod(size for _, role, size in weight.settled if role == IN),
            math.prod(outputs),
            direct=False,
        )

    @classmethod
    def elementwise(cls, weight: Weight, kind: str, fan_in: float | None = None) -> "Use":
        """Entry by entry, with whatever lies along the axes of a signal."""
        pieces = [piece for axis in weight.axes or () for piece in axis if piece.size > 1]
        if weight.part == "right":
            return cls.right(weight, pieces, {})
        if weight.axes is None and kind == "scale":
            return cls(weight.leaf, "unread")
        roles = {axis: role for axis, role, _ in weight.settled}
        roles |= {piece.axis: OUT for piece in pieces}
        if LOOKUP in roles.values():  # rows at fixed places, such as positions
            return cls.embedding(weight, roles)
        return cls(weight.leaf, kind, tuple(sorted(roles.items())), fan_in)

    def looked_up(self) -> "Use":
        """The same with a one-hot code as the signal: a lookup, written as a product."""
        roles = tuple((axis, LOOKUP if role == IN else role) for axis, role in self.roles)
        return replace(self, kind="embedding", roles=roles, fan_in=1)


@dataclass(frozen=True)
class Layout:
    """What a contraction does with each axis of the operand that holds the weights."""

    words: tuple[str, ...]
    shape: tuple[int, ...]
    groups: int = 1
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    def axes(self, word: str) -> list[int]:
        """The axes with that role."""
        return [axis for axis, role in enumerate(self.words) if role == word]


def layout_of(operation: Operation, operand: int) -> Layout:
    """Of a matrix product or convolution whose operand of that number holds the weights."""
    shape = operation.operand_shapes[operand]
    numbers = operation.params["dimension_numbers"]
    words = [OUT] * len(shape)
    if operation.name == "dot_general":
        contracted, batch = (pair[operand] for pair in numbers)
        for axis in contracted:
            words[axis] = IN
        for axis in batch:
            words[axis] = BATCH
        return Layout(tuple(words), shape)
    _, in_axis, *spatial = numbers.rhs_spec
    words[in_axis] = IN
    for axis in spatial:
        words[axis] = SPATIAL
    return Layout(
        tuple(words),
        shape,
        operation.params["feature_group_count"],
        tuple(operation.params["window_strides"]),
        tuple(operation.params["lhs_dilation"]),
    )


def contracted(weight: Weight, layout: Layout) -> Use:
    """The use of a parameter that a contraction sums over; a scale, if it has no such axis."""
    if weight.axes is None:
        return Use(weight.leaf, "unread")
    met, groups = _met(weight.axes, layout)
    roles = {axis: role for axis, role, _ in weight.settled}
    for piece, word in met:
        roles[piece.axis] = _both(roles.get(piece.axis), word)
    named, words = tuple(sorted(roles.items())), {word for _, word in met}
    if weight.part == "right":
        return Use(weight.leaf, "unread") if {IN, OUT} <= words else _right(weight, met)
    if weight.part == "scale":
        return Use(weight.leaf, "scale", named)
    if not {IN, SPATIAL} & words:
        return Use(weight.leaf, "unread" if LOOKUP in roles.values() else "scale", named)
    taps = [layout.shape[axis] for axis in layout.axes(SPATIAL)]
    sizes = [0 if weight.part else size for size in layout.shape]
    inputs = [_everywhere(weight.axes[axis], sizes[axis]) for axis in layout.axes(IN)]
    inputs += [size for _, role, size in weight.settled if role == IN]
    outputs = [piece.size * piece.devices for piece, word in met if word == OUT]
    outputs += [size for _, role, size in weight.settled if role == OUT]
    return Use(
        weight.leaf,
        "kernel",
        named,
        _over(math.prod(inputs + taps), math.prod(layout.dilation)),
        _over(math.prod(outputs + taps) // groups, math.prod(layout.strides)),
        groups,
        layout.strides,
        layout.dilation,
        math.prod(piece.size for piece, word in met if word in (OUT, BATCH)),
    )


def _met(axes: tuple[Axis, ...], layout: Layout) -> tuple[list[tuple[Piece, str]], int]:
    """Every piece with its role, and the groups that a single copy of a convolution has."""
    met, groups = [], layout.groups
    for axis, word in zip(axes, layout.words, strict=True):
        words = [word] * len(axis)
        if word == OUT and len(axis) > 1 and groups % axis[0].size == 0:
            # A convolution under vmap: copies lie along the output channels, one group each.
            groups //= axis[0].size
            words[0] = BATCH
        met += zip(axis, words, strict=True)
    return met, groups


def summed(weight: Weight, axes: Sequence[int]) -> Use:
    """The use of a parameter that is multiplied entry by entry and then summed over axes."""
    pieces = [
        (piece, IN if axis in axes else OUT)
        for axis, pieces in enumerate(weight.axes or ())
        for piece in pieces
        if piece.size > 1
    ]
    sizes = {
        role: math.prod(piece.size for piece, word in pieces if word == role) for role in (IN, OUT)
    }
    if not any(role == IN for _, role in pieces) or weight.part or weight.settled:
        return Use(weight.leaf, "scale")
    named = tuple(sorted({piece.axis: role for piece, role in pieces}.items()))
    return Use(weight.leaf, "kernel", named, sizes[IN], sizes[OUT], outputs=sizes[OUT])


def _right(weight: Weight, met: list[tuple[Piece, str]]) -> Use:
    """The right factor of a product of parameters: its inputs are the left one's outputs."""
    free = [piece for piece, word in met if word != BATCH]
    return Use.right(weight, free, {piece.axis: word for piece, word in met if word == BATCH})


def _everywhere(axis: Axis, size: int) -> int:
    """Entries along an axis over all devices, other parameters beside this one included."""
    if not size:  # of this parameter only
        return math.prod(piece.size * piece.devices for piece in axis)
    return size * math.prod(piece.devices for piece in axis)


def _both(before: str | None, role: str) -> str:
    """Both roles of an axis that was cut into two."""
    return role if before in (None, role) else f"{before}·{role}"


def _over(number: int, parts: int) -> float:
    return number / parts if number % parts else number // parts
