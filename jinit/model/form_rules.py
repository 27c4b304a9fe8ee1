"""The form of a parameter after an elementwise operation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jinit.model.constants import ConstantScale
from jinit.model.form_numbers import NEGLIGIBLE, bound_form, power_form, round_form
from jinit.model.operation import Operation
from jinit.model.primitives import COMPARISONS, SUMS, VALUE_PRESERVING
from jinit.model.weight_forms import WeightForm, nonlinear_reason, strongest_reason

ReadConstant = Callable[[int], ConstantScale | None]
"""Function that returns the constant at an operand of the operation; None if it is no constant."""
Forms = Sequence[WeightForm | None]
"""Forms of one parameter in the operands; None where an operand does not depend on it."""


def apply_form(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    """Return the form of a parameter in the result of an elementwise operation.

    Args:
      operation: the operation.
      forms: the parameter's forms in the operands.
      constants: the constants among the other operands.
    """
    name = operation.name
    if name not in _LINEAR:
        forms = [form and form.drop_residue() for form in forms]
    form = _apply(operation, forms, constants).settle(operation.shapes[0])
    if not form.reason:
        return form
    return form.because(strongest_reason([form.reason, *(f.reason for f in forms if f)]))


def _apply(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    name = operation.name
    known = [form for form in forms if form is not None]
    if name in VALUE_PRESERVING:
        return _convert(operation, known[0])
    if name in _UNARY:
        return _UNARY[name](operation, known[0])
    if name in _RULES:
        return _RULES[name](operation, forms, constants)
    if name in COMPARISONS:
        return _compare(operation, forms, constants)
    is_invariant = all(form.is_normalized for form in known)
    return known[0].nonlinear(name, 0.0 if is_invariant else None)


def _convert(operation: Operation, form: WeightForm) -> WeightForm:
    if operation.name == "stop_gradient":
        return replace(form, is_stopped=True)
    if operation.dtypes[0].startswith("complex"):
        return replace(form, is_part=True)
    is_rounding = operation.dtypes[0].startswith(("int", "uint", "bool"))
    return round_form(form, operation.name) if is_rounding else form


def _integer_power(operation: Operation, form: WeightForm) -> WeightForm:
    return power_form(form, float(operation.params["y"]), operation.name)


def _sign(operation: Operation, form: WeightForm) -> WeightForm:
    degree = None if form.degree is None else 0.0
    sign = replace(form.nonlinear(operation.name), degree=degree, scale=1.0)
    return replace(sign, normalization=sign.normalization or "sign")


def _multiply(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    left, right = forms
    if left is not None and right is not None:
        is_square = operation.operands[0] == operation.operands[1]
        square = power_form(left.drop_residue(), 2.0, "square")
        return square if is_square else _product(left, right, "mul")
    number = constants(1 if right is None else 0)
    return _either(left, right).times(number.factor if number else 1.0)


def _divide(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    left, right = forms
    if right is None:
        number = constants(1)
        factor = number.factor if number else 1.0
        return _either(left, right).times(1 / factor if factor else None)
    inverse = power_form(right.drop_residue(), -1.0, operation.name)
    if left is not None:
        return _product(left, inverse, operation.name)
    number = constants(0)
    return inverse.times(number.factor if number else 1.0)


def _either(left: WeightForm | None, right: WeightForm | None) -> WeightForm:
    """Return the form of the one operand that depends on the parameter."""
    return next(form for form in (left, right) if form is not None)


def _product(left: WeightForm, right: WeightForm, name: str) -> WeightForm:
    """Return the form of a product of two functions of one parameter."""
    for form, number in ((left, right), (right, left)):
        if number.kind == "number" and not number.residue:
            return _scale_by_number(form, number)
    left, right = left.drop_residue(), right.drop_residue()
    is_known = left.degree is not None and right.degree is not None
    degree = (left.degree or 0.0) + (right.degree or 0.0) if is_known else None
    return replace(left.nonlinear(name), degree=degree)


def _scale_by_number(form: WeightForm, number: WeightForm) -> WeightForm:
    """Return the form of a product with a number that depends on the parameter, such as 1/‖w‖."""
    if number.degree is None or (form.residue and number.degree):
        return form.drop_residue().nonlinear("mul").because(number.reason)
    product = form.times(number.scale, number.degree)
    if product.degree != 0 or product.normalization:
        return product
    name = "weight standardization" if product.is_centered else number.normalization
    return replace(product, normalization=name or "normalization")


def _add(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    left, right = forms
    name, sign = operation.name, -1.0 if operation.name == "sub" else 1.0
    right = right and right.times(sign)
    if left is not None and right is not None:
        both_parts = left.is_part and right.is_part
        return _join_slices(left, right) if both_parts else _add_forms(left, right, name)
    constant = constants(1 if right is None else 0)
    if constant is None and _either(left, right).is_part:
        return _join_parts(_either(left, right))
    return _add_constant(_either(left, right), constant, name)


def _complex(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    """Return the form of a complex number made of a real and an imaginary part."""
    left, right = forms
    if left is not None and right is not None:
        return _join_slices(left, right)
    form = _either(left, right)
    is_alone = constants(1 if right is None else 0) is not None
    return form if is_alone else _join_parts(form)


def _join_parts(form: WeightForm) -> WeightForm:
    """Return the form of one part of a complex weight, as if it were the whole weight.

    Both parts are of one scale, so that the weight has twice the mean square of either.
    """
    return replace(form.times(math.sqrt(2)), is_part=False)


def _join_slices(left: WeightForm, right: WeightForm) -> WeightForm:
    """Return the form of a complex weight whose parts are slices of one parameter."""
    if not (left.is_plain and right.is_plain):
        return left.nonlinear("complex")
    scale = math.hypot(left.scale or 0.0, right.scale or 0.0)
    return replace(left, scale=scale, is_part=False)


def _add_constant(form: WeightForm, constant: ConstantScale | None, name: str) -> WeightForm:
    """Return the form after a sum with a constant or with another parameter.

    A constant that is added to entries is their offset; one that is added to a number must be small
    beside it, such as the epsilon of a norm.
    """
    if form.is_normalized or (constant is not None and constant.rms == 0):
        return form
    size = 1.0 if form.scale is None else abs(form.scale)
    if constant is not None and constant.rms is not None and constant.rms <= NEGLIGIBLE * size:
        return form
    if form.kind == "entries":
        return replace(form, has_offset=form.has_offset or constant is not None)
    return replace(form, degree=None, reason=form.reason or nonlinear_reason(name))


def _add_forms(left: WeightForm, right: WeightForm, name: str) -> WeightForm:
    """Return the form of a sum of two functions of one parameter."""
    for form, other in ((left, right), (right, left)):
        if form.is_plain and form.summed == 1 and not other.is_plain and form.scale:
            return _cancel(replace(other, residue=other.residue + form.scale))
    left, right = left.drop_residue(), right.drop_residue()
    if left.degree is None or left.degree != right.degree:
        return left.nonlinear(name)
    if left.kind == right.kind == "entries":
        return _add_entries(left, right)
    total = replace(left.nonlinear(name, left.degree), degree=left.degree)
    if "number" not in (left.kind, right.kind) or left.mean is None or right.mean is None:
        return total
    normalization = left.normalization or right.normalization
    value = left.mean + right.mean
    return replace(total, kind="number", scale=value, mean=value, normalization=normalization)


def _add_entries(left: WeightForm, right: WeightForm) -> WeightForm:
    """Return the form of a sum of multiples of the parameter, one of which may be a mean of it."""
    entries, mean = sorted((left, right), key=lambda form: form.summed)
    if entries.scale is None or mean.scale is None:
        return replace(entries, scale=None)
    if entries.summed == mean.summed:
        return replace(entries, scale=entries.scale + mean.scale)
    remaining = abs(entries.scale**2 - mean.scale**2 * mean.summed / entries.summed)
    scale = math.copysign(math.sqrt(remaining), entries.scale)
    return replace(entries, scale=scale, is_centered=True)


def _cancel(form: WeightForm) -> WeightForm:
    """Return the form of a straight-through estimate, w + stop_gradient(q(w) - w) = q(w).

    Rounding changes entries so little that the rounded parameter counts as the parameter.
    """
    if abs(form.residue) > 1e-6:
        return form
    form = replace(form, residue=0.0)
    is_estimate = form.is_rounded and form.is_stopped and form.kind == "entries"
    return replace(form, reason="", is_rounded=False, is_stopped=False) if is_estimate else form


def _bound(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    left, right = forms
    if left is not None and right is not None:
        return left.nonlinear(operation.name, left.degree if left.degree == right.degree else None)
    constant = constants(1 if right is None else 0)
    bound = constant and constant.value
    return bound_form(_either(left, right), bound, operation.name)


def _clamp(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    low, form, high = constants(0), forms[1], constants(2)
    if form is None or low is None or high is None:
        return next(form for form in forms if form is not None).nonlinear(operation.name)
    return bound_form(bound_form(form, low.value, "max"), high.value, "min")


def _power(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    base, exponent = forms
    constant = None if exponent is not None else constants(1)
    if base is None or constant is None or constant.value is None:
        return _either(base, exponent).nonlinear(operation.name)
    return power_form(base, constant.value, operation.name)


def _select(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    """Return the form of a selection by a predicate, which may depend on the parameter."""
    predicate, *cases = forms
    weighted = [form for form in cases if form is not None]
    if predicate is not None:
        is_known = predicate.kind == "number" and predicate.scale is not None
        chosen = cases[int(predicate.scale or 0)] if is_known else None
        return chosen or predicate.nonlinear(operation.name)
    if len(weighted) == len(cases):
        is_one = all(form == weighted[0] for form in weighted)
        return weighted[0] if is_one else weighted[0].nonlinear(operation.name)
    fills = [constants(number) for number, form in enumerate(cases, 1) if form is None]
    return _mask(operation.name, cases, constants(0), fills)


def _mask(
    name: str, cases: Forms, mask: ConstantScale | None, fills: Sequence[ConstantScale | None]
) -> WeightForm:
    """Return the form of a selection by a constant mask between entries and constants.

    A mask with a share p of the entries scales them by √p, as a product with it would.
    """
    (form,) = [case for case in cases if case is not None]
    if mask is None or mask.rms is None:
        return form.nonlinear(name)
    kept = mask.rms**2 if cases[0] is None else 1 - mask.rms**2
    if kept < 1 and any(fill is None or fill.rms != 0 for fill in fills):
        return form.nonlinear(name)
    return form.times(math.sqrt(kept))


def _compare(operation: Operation, forms: Forms, constants: ReadConstant) -> WeightForm:
    """Return the form of a comparison; whether a norm is zero is known, and the answer is no."""
    name = operation.name
    values = [_number(form, constants(number)) for number, form in enumerate(forms)]
    known = [form for form in forms if form is not None]
    compared = known[0].nonlinear(name)
    if name not in _COMPARISONS:
        return compared
    if len(values) == 2 and None not in values:
        outcome = float(_COMPARISONS[name](*values))
        return replace(compared, kind="number", scale=outcome, mean=outcome)
    is_sign = len(known) == 1 and 0 in values
    return replace(compared, degree=0.0) if is_sign else compared


def _number(form: WeightForm | None, constant: ConstantScale | None) -> float | None:
    if form is None:
        return constant and constant.value
    return (1.0 if form.scale is None else form.scale) if form.kind == "number" else None


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}
_LINEAR = SUMS | VALUE_PRESERVING | {"mul", "div", "neg"}
_UNARY: dict[str, Callable[[Operation, WeightForm], WeightForm]] = {
    "neg": lambda _, form: form.times(-1.0),
    "abs": lambda _, form: power_form(form, 1.0, "abs"),
    "sqrt": lambda _, form: power_form(form, 0.5, "sqrt"),
    "rsqrt": lambda _, form: power_form(form, -0.5, "rsqrt"),
    "cbrt": lambda _, form: power_form(form, 1 / 3, "cbrt"),
    "square": lambda _, form: power_form(form, 2.0, "square"),
    "integer_pow": _integer_power,
    "sign": _sign,
} | dict.fromkeys(
    ("round", "floor", "ceil"), lambda operation, form: round_form(form, operation.name)
)
"""Rules for operations on one operand."""
_RULES: dict[str, Callable[[Operation, Forms, ReadConstant], WeightForm]] = {
    "mul": _multiply,
    "div": _divide,
    "pow": _power,
    "max": _bound,
    "min": _bound,
    "clamp": _clamp,
    "select_n": _select,
    "complex": _complex,
} | dict.fromkeys(SUMS, _add)
