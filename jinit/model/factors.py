"""Parameters made of several: sums, products entry by entry, and products of matrices."""

from dataclasses import replace

from jinit.model.flow import Axis, Weight, stretched
from jinit.model.graph import Operation
from jinit.model.primitives import PRODUCTS
from jinit.model.roles import BATCH, IN, OUT, Layout
from jinit.model.values import Value


def elementwise(operation: Operation, operands: list[Value]) -> list[Weight]:
    """Parameters as they lie along the axes of the result."""
    sides = [
        [stretched(weight, shape, operation.shapes[0]) for weight in value.weights]
        for value, shape in zip(operands, operation.operand_shapes, strict=True)
    ]
    if operation.name in PRODUCTS and all(sides):
        sides = _multiplied(*sides)
    return [weight for side in sides for weight in side]


def _multiplied(left: list[Weight], right: list[Weight]) -> list[list[Weight]]:
    """Two parameters entry by entry: the one along fewer axes scales the other.

    Of two along the same axes neither's start can be told; two along others make up the axes of
    one kernel, and each counts for itself. A parameter over its own norm stays what it is.
    """
    if {weight.leaf for weight in left} & {weight.leaf for weight in right}:
        return [left, right]
    one, other = _extent(left), _extent(right)
    if one == other and one:
        return [[weight.mixed() for weight in side] for side in (left, right)]
    parts = "factor", "factor"
    if one <= other or other <= one:
        parts = ("scale", "") if one < other else ("", "scale")
    return [
        [replace(weight, part=weight.part or part) for weight in side]
        for side, part in zip((left, right), parts, strict=True)
    ]


def _extent(weights: list[Weight]) -> set[int]:
    """Axes of a value along which parameters lie."""
    return {
        number
        for weight in weights
        for number, axis in enumerate(weight.axes or ())
        if any(piece.size > 1 for piece in axis)
    }


def applied(weight: Weight, layout: Layout, rank: int, role: str) -> Weight:
    """A factor of a product of weights: outputs of the left one are inputs of the right one."""
    if weight.axes is None:
        return weight
    settled = tuple(
        (piece.axis, role, piece.size) for axis in layout.axes(IN) for piece in weight.axes[axis]
    )
    batch, free = ([weight.axes[axis] for axis in layout.axes(word)] for word in (BATCH, OUT))
    others: list[Axis] = [()] * (rank - len(batch) - len(free))
    laid = [*batch, *free, *others] if role == OUT else [*batch, *others, *free]
    part = "right" if role == IN else weight.part
    return Weight(weight.leaf, tuple(laid), weight.settled + settled, part)
