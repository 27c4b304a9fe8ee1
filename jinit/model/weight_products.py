"""Values computed from several parameters: elementwise operations and matrix products."""

from dataclasses import replace

from jinit.model.axis_roles import BATCH, IN, OUT, AxisRole
from jinit.model.known_values import KnownValue
from jinit.model.operand_roles import OperandRoles
from jinit.model.operation import Operation
from jinit.model.primitives import PRODUCTS
from jinit.model.weight_axes import (
    FactorKind,
    Segments,
    TrackedWeight,
    broadcast_weight,
    merge_weights,
)


def combine_weights(operation: Operation, operands: list[KnownValue]) -> list[TrackedWeight]:
    """Return the parameters in the result of an elementwise operation."""
    sides = [
        [broadcast_weight(weight, shape, operation.shapes[0]) for weight in value.weights]
        for value, shape in zip(operands, operation.operand_shapes, strict=True)
    ]
    if operation.name in PRODUCTS and all(sides):
        sides = _multiply_weights(*sides)
    return [weight for side in sides for weight in side]


def _multiply_weights(
    left: list[TrackedWeight], right: list[TrackedWeight]
) -> list[list[TrackedWeight]]:
    """Return the parameters on both sides of an elementwise product.

    The parameter along fewer axes scales the other. Two that lie along the same axes are scales if
    they multiply a signal, and otherwise cannot be read. If each has axes that the other lacks,
    both are factors of one kernel. Weight normalization (w/‖w‖) does not change the weight that is
    read.
    """
    if {weight.leaf for weight in left} & {weight.leaf for weight in right}:
        return [left, right]
    left_axes, right_axes = _occupied_axes(left), _occupied_axes(right)
    if left_axes == right_axes and left_axes:
        return [[replace(weight, factor_kind="twin") for weight in side] for side in (left, right)]
    kinds: tuple[FactorKind, FactorKind] = ("factor", "factor")
    if left_axes <= right_axes or right_axes <= left_axes:
        kinds = ("scale", "") if left_axes < right_axes else ("", "scale")
    return [
        [replace(weight, factor_kind=weight.factor_kind or kind) for weight in side]
        for side, kind in zip((left, right), kinds, strict=True)
    ]


def _occupied_axes(weights: list[TrackedWeight]) -> set[int]:
    """Return the axes of a value along which parameters lie."""
    return {
        number
        for weight in weights
        for number, axis in enumerate(weight.axes or ())
        if any(segment.size > 1 for segment in axis)
    }


def join_weights(name: str, operands: list[KnownValue]) -> KnownValue:
    """Return the result of any other operation on parameters; `concatenate` keeps their axes."""
    is_partial = name == "concatenate" and not all(value.weights for value in operands)
    weights = merge_weights(
        replace(weight, factor_kind=weight.factor_kind or "factor") if is_partial else weight
        for value in operands
        for weight in value.weights
    )
    if name != "concatenate":
        weights = tuple(weight.forget_axes() for weight in weights)
    return KnownValue(weights)


def apply_factor(
    weight: TrackedWeight, layout: OperandRoles, rank: int, role: AxisRole
) -> TrackedWeight:
    """Return one factor of a matrix product of parameters, as part of the product.

    Args:
      weight: the parameter in the operand.
      layout: roles of the operand's axes.
      rank: rank of the product.
      role: `out` for the left factor and `in` for the right one, because the summed axis holds the
        outputs of the left factor and the inputs of the right one.
    """
    if weight.axes is None:
        return weight
    summed = [segment for axis in layout.axes(IN) for segment in weight.axes[axis]]
    batch, free = ([weight.axes[axis] for axis in layout.axes(kept)] for kept in (BATCH, OUT))
    others: list[Segments] = [()] * (rank - len(batch) - len(free))
    return TrackedWeight(
        leaf=weight.leaf,
        axes=(*batch, *free, *others) if role == OUT else (*batch, *others, *free),
        consumed_axes=weight.consume(summed, role),
        factor_kind="right" if role == IN else weight.factor_kind,
    )
