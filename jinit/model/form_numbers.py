"""Statistics of functions of a parameter whose entries are standard normal numbers."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

from jinit.model.operation import Operation
from jinit.model.weight_forms import WeightForm

NEGLIGIBLE = 0.01
"""Largest ratio of a constant to the value beside it that counts as an epsilon."""
_WIDE = 2.0
"""Bounds this many root mean squares away from zero cut off next to nothing."""


def reduce_form(operation: Operation, form: WeightForm) -> WeightForm:
    """Return the form of a parameter after a sum or another reduction over some axes.

    Args:
      operation: the reduction.
      form: the form of its operand.
    """
    count = math.prod(operation.operand_shapes[0]) / max(math.prod(operation.shapes[0]), 1)
    if operation.name == "reduce_sum":
        return _sum_form(form, count).settle(operation.shapes[0])
    form = form.drop_residue()
    if form.kind == "number" and operation.name in ("reduce_max", "reduce_min"):
        return form
    return _extreme_form(form, count, operation.name).settle(operation.shapes[0])


def _sum_form(form: WeightForm, count: float) -> WeightForm:
    if form.kind == "entries":
        return replace(form, summed=form.summed * count)
    form = form.drop_residue()
    if not form.mean:
        return replace(form, scale=None, mean=None)
    total = form.mean * count
    return replace(form, kind="number", scale=total, mean=total)


def _extreme_form(form: WeightForm, count: float, name: str) -> WeightForm:
    """Return the form of the largest or smallest entry."""
    extreme = form.nonlinear(name, form.degree)
    is_absolute = form.kind == "other" and form.scale is not None and bool(form.mean)
    if name != "reduce_max" or not (is_absolute or form.kind == "entries"):
        return replace(extreme, degree=None if name == "reduce_prod" else extreme.degree)
    value = form.rms and form.rms * _expected_maximum(2 * count if is_absolute else count)
    return replace(
        extreme, kind="number", scale=value, mean=value, normalization="maximum normalization"
    )


def _expected_maximum(count: float) -> float:
    """Return the expected largest of many standard normal numbers (Blom, 1958)."""
    return NormalDist().inv_cdf(max((count - 0.375) / (count + 0.25), 0.6))


def contraction_form(forms: Sequence[WeightForm], shape: tuple[int, ...]) -> WeightForm:
    """Return the form of a matrix product of functions of one parameter.

    Args:
      forms: its forms in those factors that depend on it.
      shape: shape of the product.
    """
    degrees = [form.degree for form in forms if form.degree is not None]
    product = forms[0].drop_residue().mixed("dot_general")
    return replace(
        product,
        degree=sum(degrees) if len(degrees) == len(forms) else None,
        normalization="spectral normalization",
    ).settle(shape)


_DEGREES: dict[str, tuple[float, ...]] = {"svd": (1.0, 0.0, 0.0), "qr": (0.0, 1.0)}
"""Degrees of the results of matrix decompositions in the matrix."""


def decomposition_form(form: WeightForm, name: str, result: int) -> WeightForm:
    """Return the form after an operation that mixes entries, such as a singular value.

    Args:
      form: the form before.
      name: name of the operation.
      result: index of the result.
    """
    mixed, degrees = form.drop_residue().mixed(name), _DEGREES.get(name)
    if degrees is None or form.degree is None or result >= len(degrees):
        return mixed
    degree = form.degree * degrees[result]
    return replace(mixed, degree=degree, normalization="spectral normalization")


def round_form(form: WeightForm, name: str) -> WeightForm:
    """Return the form after rounding to integers."""
    if form.kind == "number":
        return form
    return replace(form, is_rounded=True, reason=form.nonlinear(name).reason)


def power_form(form: WeightForm, exponent: float, name: str) -> WeightForm:
    """Return the form of a power.

    Args:
      form: the form of the base.
      exponent: the exponent; 1 for the absolute value.
      name: name of the operation.
    """
    degree = None if form.degree is None else form.degree * exponent
    power = replace(form.nonlinear(name, degree), degree=degree)
    if form.kind == "number":
        value = _safe_power(form.scale, exponent)
        name = form.normalization
        return replace(power, kind="number", scale=value, mean=value, normalization=name)
    if form.kind != "entries" or form.rms is None or exponent < 0:
        return power
    is_odd = exponent % 2 == 1 and name != "abs"
    return replace(
        power,
        mean=0.0 if is_odd else form.rms**exponent * _absolute_moment(exponent),
        scale=form.rms**exponent * math.sqrt(_absolute_moment(2 * exponent)),
        normalization=form.normalization or "weight normalization",
    )


def _safe_power(value: float | None, exponent: float) -> float | None:
    if value is None or (value == 0 and exponent < 0) or (value < 0 and exponent % 1):
        return None
    return value**exponent


def _absolute_moment(order: float) -> float:
    """Return E|z|^order of a standard normal number z."""
    return 2 ** (order / 2) * math.gamma((order + 1) / 2) / math.sqrt(math.pi)


def bound_form(form: WeightForm, bound: float | None, name: str) -> WeightForm:
    """Return the form after a bound.

    Args:
      form: the form before.
      bound: the bound; None if it is not one number.
      name: `max` for a lower bound, `min` for an upper one.
    """
    if bound is None:
        return form.nonlinear(name)
    if form.kind == "number":
        return _bound_number(form, bound, name)
    is_wide = form.rms is not None and abs(bound) >= _WIDE * form.rms
    if form.degree == 0 and is_wide and (bound > 0) == (name == "min"):
        return form
    return form.nonlinear(name, form.degree if bound == 0 else None)


def _bound_number(form: WeightForm, bound: float, name: str) -> WeightForm:
    """Return a number after a bound; its degree is lost if the bound holds it back."""
    value = 1.0 if form.scale is None else form.scale
    is_free = bound <= NEGLIGIBLE * value if name == "max" else bound * NEGLIGIBLE >= value
    return form if is_free or form.degree == 0 else form.nonlinear(name)
