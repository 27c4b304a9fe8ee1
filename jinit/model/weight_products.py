"""Values computed from several parameters: elementwise operations and matrix products."""

from collections.abc import Iterable
from dataclasses import replace

from jinit.model.axis_roles import BATCH, IN, OUT, AxisRole
from jinit.model.constants import Constants, ConstantScale
from jinit.model.form_numbers import contraction_form, decomposition_form
from jinit.model.form_rules import apply_form
from jinit.model.known_values import CONSTANT, KnownValue
from jinit.model.operand_roles import OperandRoles
from jinit.model.operation import Operation
from jinit.model.primitives import PRODUCTS, SUMS
from jinit.model.weight_axes import (
    FactorKind,
    Segments,
    TrackedWeight,
    broadcast_weight,
    merge_weights,
)
from jinit.model.weight_forms import WeightForm, join_forms


def combine_weights(
    operation: Operation, operands: list[KnownValue], constants: Constants
) -> tuple[TrackedWeight, ...]:
    """Return the parameters in the result of an elementwise operation.

    Args:
      operation: the operation.
      operands: what is known of its operands.
      constants: the constants of its graph.
    """
    weights = merge_weights(_combine_axes(operation, operands))
    has_product = any(weight.factor_kind == "right" for weight in weights)
    return tuple(
        _combine_form(
            operation,
            weight,
            operands,
            # A factor of a matrix product counts once, as one of the factor that comes last.
            None if has_product and weight.factor_kind != "right" else constants,
        )
        for weight in weights
    )


def fix_noise(operation: Operation, operands: list[KnownValue]) -> list[KnownValue]:
    """Return the operands with noise as a constant, if it meets a parameter entry by entry.

    Such noise, as of dropout on weights, makes another weight of the parameter; noise that has more
    axes than the parameter is a signal.
    """
    pairs = list(zip(operands, operation.operand_shapes, strict=True))
    is_whole = all(shape == operation.shapes[0] for value, shape in pairs if value.weights)
    is_noise = all(value.is_noise for value in operands if value.is_signal)
    if not is_whole or not is_noise:
        return operands
    return [CONSTANT if value.is_noise else value for value in operands]


def _combine_form(
    operation: Operation,
    weight: TrackedWeight,
    operands: list[KnownValue],
    constants: Constants | None,
) -> TrackedWeight:
    """Return the parameter with its form in the result."""

    def read(number: int) -> ConstantScale | None:
        if constants is None or operands[number] != CONSTANT:
            return None
        return constants.read(operation.operands[number])

    forms = [_form_in(value, weight.leaf) for value in operands]
    if operation.name in SUMS and weight.factor_kind == "scale" and None not in forms:
        return weight  # g·a - g·b is g·(a - b): the difference is one of what it scales
    form = apply_form(operation, forms, read)
    if weight.axes is None:
        form = form.because(form.reason or weight.form.reason)
    return weight if form == weight.form else replace(weight, form=form)


def _form_in(value: KnownValue, leaf: int) -> WeightForm | None:
    return next((weight.form for weight in value.weights if weight.leaf == leaf), None)


def _combine_axes(operation: Operation, operands: list[KnownValue]) -> Iterable[TrackedWeight]:
    """Return the parameters of all operands, with their axes in the result."""
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
    read, and a parameter that multiplies a norm of another one (g/‖w‖) scales that one.
    """
    if {weight.leaf for weight in left} & {weight.leaf for weight in right}:
        return [left, right]
    left_axes, right_axes = _occupied_axes(left), _occupied_axes(right)
    if left_axes == right_axes and _are_numbers(left) != _are_numbers(right):
        return [side if _are_numbers(side) else _as_scales(side) for side in (left, right)]
    if left_axes == right_axes and left_axes:
        reason = "it is multiplied entry by entry with another parameter"
        return [
            [
                replace(weight, factor_kind="twin", form=weight.form.because(reason))
                for weight in side
            ]
            for side in (left, right)
        ]
    kinds: tuple[FactorKind, FactorKind] = ("factor", "factor")
    if left_axes <= right_axes or right_axes <= left_axes:
        kinds = ("scale", "") if left_axes < right_axes else ("", "scale")
    return [
        [replace(weight, factor_kind=weight.factor_kind or kind) for weight in side]
        for side, kind in zip((left, right), kinds, strict=True)
    ]


def _are_numbers(weights: list[TrackedWeight]) -> bool:
    """Return whether a value does not fluctuate with its parameters, such as their norms."""
    return all(weight.form.kind == "number" for weight in weights)


def _as_scales(weights: list[TrackedWeight]) -> list[TrackedWeight]:
    return [replace(weight, factor_kind=weight.factor_kind or "scale") for weight in weights]


def _occupied_axes(weights: list[TrackedWeight]) -> set[int]:
    """Return the axes of a value along which parameters lie."""
    return {
        number
        for weight in weights
        for number, axis in enumerate(weight.axes or ())
        if any(segment.size > 1 for segment in axis)
    }


def join_weights(operation: Operation, operands: list[KnownValue]) -> list[KnownValue]:
    """Return the results of any other operation on parameters; `concatenate` keeps their axes."""
    name = operation.name
    is_partial = name == "concatenate" and not all(value.weights for value in operands)
    weights = merge_weights(
        replace(weight, factor_kind=weight.factor_kind or "factor") if is_partial else weight
        for value in operands
        for weight in value.weights
    )
    if name == "concatenate":
        return [KnownValue(tuple(_join_pieces(weight, operands) for weight in weights))]
    return [
        KnownValue(tuple(_mix_entries(weight, name, result) for weight in weights))
        for result in range(len(operation.results))
    ]


def _mix_entries(weight: TrackedWeight, name: str, result: int) -> TrackedWeight:
    return replace(weight, axes=None, form=decomposition_form(weight.form, name, result))


def _join_pieces(weight: TrackedWeight, operands: list[KnownValue]) -> TrackedWeight:
    """Return a parameter whose pieces are concatenated."""
    forms = [form for value in operands if (form := _form_in(value, weight.leaf)) is not None]
    return replace(weight, form=join_forms(forms, "its parts are used in different ways"))


def multiply_shared(
    operation: Operation, left: tuple[TrackedWeight, ...], right: tuple[TrackedWeight, ...]
) -> tuple[TrackedWeight, ...]:
    """Return the parameters in a matrix product of two functions of one parameter."""
    values, shape = (KnownValue(left), KnownValue(right)), operation.shapes[0]
    products = []
    for weight in merge_weights(left + right):
        forms = [form for value in values if (form := _form_in(value, weight.leaf)) is not None]
        product = contraction_form(forms, shape)
        products.append(replace(weight, axes=None, form=product))
    return tuple(products)


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
        form=weight.form,
    )
