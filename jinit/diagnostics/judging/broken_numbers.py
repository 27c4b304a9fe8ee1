"""The operations that make NaN or infinity from finite numbers, forward or in a derivative."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from jinit.diagnostics.judging.finding import Finding
from jinit.diagnostics.judging.investigation import Culprit, Investigation, level
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.measuring.every_operation import OperationSizes, Size
from jinit.model import Place

_CAUSES = {
    "log": "its argument is zero or negative",
    "log1p": "its argument is -1 or less",
    "sqrt": "its argument is negative",
    "rsqrt": "its argument is zero or negative",
    "div": "the divisor is zero, or the quotient is too large",
    "exp": "its argument is too large",
    "exp2": "its argument is too large",
    "expm1": "its argument is too large",
    "pow": "its base is negative or zero, or the power is too large",
    "acos": "its argument is outside of -1 to 1",
    "asin": "its argument is outside of -1 to 1",
    "atanh": "its argument is outside of -1 to 1",
    "acosh": "its argument is below 1",
}
_CURES = {
    "log": "jnp.log(jnp.maximum(h, {floor:.1g})), or jnp.log1p(h) for h that is not negative",
    "sqrt": "jnp.sqrt(jnp.maximum(h, {floor:.1g}))",
    "rsqrt": "jax.lax.rsqrt(jnp.maximum(h, {floor:.1g}))",
    "div": "h / jnp.maximum(divisor, {floor:.1g}) for a divisor that is not negative",
    "exp": "jax.nn.softmax(h), or jnp.exp(h - h.max(-1, keepdims=True))",
    "pow": "jnp.maximum(h, {floor:.1g}) ** power",
    "log1p": "jnp.log1p(jnp.maximum(h, -0.9))",
    "acos": "jnp.arccos(jnp.clip(h, -0.99, 0.99))",
    "asin": "jnp.arcsin(jnp.clip(h, -0.99, 0.99))",
    "atanh": "jnp.arctanh(jnp.clip(h, -0.99, 0.99))",
    "acosh": "jnp.arccosh(jnp.maximum(h, 1.01))",
}
OVERFLOW_CURE = "scale its operands down, or normalize them: nn.LayerNorm()(h)"
"""Cure of an operation whose operands are finite, but too large."""
_FLOOR = 0.3
"""Smallest argument over the RMS of all: the logarithm, the root and the quotient then stay of the
size of the signal, which a floor such as 1e-6 does not achieve."""
_MAX_LOG_SIZE = 80.0
"""Log of a mean square beyond which, up or down, the size of a signal is no guide."""
_DERIVATIVE_CURE = (
    "keep the argument away from that point before the operation, as in "
    "jnp.sqrt(jnp.where(h > 0, h, 1.0)): jnp.where after it does not remove a NaN gradient"
)


def find_broken_numbers(case: Investigation, loss_is_finite: bool) -> dict[int, Finding]:
    """Return a finding for each layer next to an operation that breaks the numbers.

    Args:
      case: the network.
      loss_is_finite: whether the loss is a finite number.
    """
    targets = _first_broken_targets(case, loss_is_finite)
    if targets:
        sizes = case.record(case.operations_before(targets))
        culprits = [_forward_culprit(case, sizes, target) for target in targets]
        return dict(_forward_finding(case, sizes, each) for each in culprits if each is not None)
    return _find_broken_derivatives(case)


def _first_broken_targets(case: Investigation, loss_is_finite: bool) -> list[int | None]:
    """Return the layers with a broken input whose suppliers are finite; None for the loss."""
    rows, feeds = case.graph.rows, case.graph.feeds
    targets: list[int | None] = [
        number
        for number in feeds.order
        if not np.isfinite(rows[number].statistics.input.second)
        and all(_is_finite(rows[each]) for each in feeds.suppliers[number].layers)
    ]
    if not loss_is_finite and all(map(_is_finite, rows)):
        targets.append(None)
    return targets


def _is_finite(row: LayerRow) -> bool:
    return not row.statistics.preactivation.nonfinite


def _forward_culprit(
    case: Investigation, sizes: Mapping[Place, OperationSizes], target: int | None
) -> Culprit | None:
    """Return the first operation with a broken result and finite operands."""
    before = None
    for place in case.flow.operations_before([case.target(target)]):
        if place in case.flow.layers:
            before = case.first_layers[place]
        elif place in sizes and _breaks(sizes[place]):
            return Culprit(place, before, target)
    return None


def _breaks(sizes: OperationSizes) -> bool:
    """Return whether in some iteration the operands are finite and the result is not."""
    if sizes.result is None:
        return False
    is_finite = [_are_finite(each) for each in sizes.operands if each is not None]
    return bool(np.any(np.logical_and.reduce([~_are_finite(sizes.result), *is_finite])))


def _are_finite(size: Size) -> np.ndarray:
    """Return, for each iteration, whether all entries are finite."""
    return np.isfinite(np.asarray(size.largest))


def _forward_finding(
    case: Investigation, sizes: Mapping[Place, OperationSizes], culprit: Culprit
) -> tuple[int, Finding]:
    operation = case.flow.operation(culprit.place)
    reason = _CAUSES.get(operation.name, "its operands are too large for their dtype")
    cause = f"{case.text(culprit)} makes NaN or infinity from finite numbers: {reason}"
    floor = _floor(sizes[culprit.place])
    cure = _CURES.get(operation.name, OVERFLOW_CURE).format(floor=floor)
    return case.blamed_layer(culprit), Finding("overflowing", cause, cure, case.source(culprit))


def _floor(sizes: OperationSizes) -> float:
    """Return the smallest argument that keeps an operation's result near the size of the signal."""
    size = level(sizes.operands[-1])
    return _FLOOR * (math.exp(size / 2) if abs(size) < _MAX_LOG_SIZE else 1.0)


def _find_broken_derivatives(case: Investigation) -> dict[int, Finding]:
    """Return a finding for each layer whose gradient an operation after it breaks."""
    rows, feeds = case.graph.rows, case.graph.feeds
    found: dict[int, Finding] = {}
    for number in reversed(feeds.order):
        targets = [
            each for each in case.targets_after(number) if each is None or _has_gradient(rows[each])
        ]
        if _has_gradient(rows[number]) or not targets:
            continue
        culprit = _derivative_culprit(case, number, targets)
        if culprit is not None:
            cause = (
                f"the derivative of {case.text(culprit)} is not finite, so the gradient of "
                f"{rows[number].path} is not"
            )
            found[number] = Finding("overflowing", cause, _DERIVATIVE_CURE)
    return found


def _has_gradient(row: LayerRow) -> bool:
    return not row.statistics.gradient.nonfinite


def _derivative_culprit(
    case: Investigation, number: int | None, targets: Sequence[int | None]
) -> Culprit | None:
    """Return the last operation whose result has a finite gradient and an operand has not."""
    places = case.operations_before(targets)
    sizes = case.record(places)
    for place in reversed(places):
        if place in case.flow.layers or not bool(np.all(_are_finite(sizes[place].gradient))):
            continue
        before = [
            each
            for operand in case.flow.operands(place)
            for each in case.flow.producers(operand).places
            if each in sizes
        ]
        if any(not np.all(_are_finite(sizes[each].gradient)) for each in before):
            return Culprit(place, number, targets[0])
    return None
