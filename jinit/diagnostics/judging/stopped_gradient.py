"""The operations that stop the gradient: rounding, comparisons, a factor of zero, stop_gradient."""

from collections.abc import Iterable, Mapping

import jax.numpy as jnp
import numpy as np

from jinit.diagnostics.judging.cures import kernel_cure, underflow_cure
from jinit.diagnostics.judging.finding import Finding
from jinit.diagnostics.judging.investigation import Culprit, Investigation
from jinit.diagnostics.judging.zero_values import ZeroValues
from jinit.diagnostics.measuring.every_operation import OperationSizes, Size
from jinit.model import Place

_Sizes = Mapping[Place, OperationSizes]
_TO_INTEGERS = ("convert_element_type", "argmax", "argmin")
_PRODUCTS = frozenset({"mul", "div", "dot_general", "conv_general_dilated"})
_STRAIGHT_THROUGH = (
    "pass the gradient straight through: h + jax.lax.stop_gradient({}(h) - h), or use a smooth "
    "function instead"
)
_CURES = {
    "stop_gradient": "leave out stop_gradient, or exclude the layers before it from training",
    "argmax": "use jax.nn.softmax(h), or a loss of the numbers themselves",
    "argmin": "use jax.nn.softmax(-h), or a loss of the numbers themselves",
    "round": _STRAIGHT_THROUGH.format("jnp.round"),
    "floor": _STRAIGHT_THROUGH.format("jnp.floor"),
    "ceil": _STRAIGHT_THROUGH.format("jnp.ceil"),
    "sign": _STRAIGHT_THROUGH.format("jnp.sign"),
    "convert_element_type": "keep floating-point numbers, or pass the gradient straight through: "
    "h + jax.lax.stop_gradient(h.astype(jnp.{dtype}).astype(h.dtype) - h)",
    "mul": "leave out the factor, or give it another value than zero",
}
_CONSTANT_LOSS = "the loss does not depend on the outputs, so no gradient reaches any layer"
_CONSTANT_LOSS_CURE = (
    "give a loss of the outputs: loss=lambda outputs, targets: ((outputs - targets) ** 2).mean()"
)
_DEFAULT_CURE = "use a function with a derivative, such as jax.nn.sigmoid for a comparison"


_OTHER_CAUSES = ("overflowing", "underflowing", "symmetric")
"""Verdicts that explain a gradient of zero."""


def find_stopped_gradients(
    case: Investigation, judged: Mapping[int, Finding]
) -> dict[int, Finding]:
    """Return a finding for each layer after which an operation stops the gradient.

    Kernels, scales and gates of zero stop it too, but learn: they are no such operation.

    Args:
      case: the network.
      judged: the findings so far, by number of the layer.
    """
    found: dict[int, Finding] = {}
    for number in reversed(case.graph.feeds.order):
        if judged[number].verdict in _OTHER_CAUSES:
            continue
        if case.graph.rows[number].statistics.gradient.total == 0:
            stopped = _explain(case, number, found, judged[number])
            if stopped is not None:
                found[number] = stopped
    return found


def _explain(
    case: Investigation, number: int, found: Mapping[int, Finding], judged: Finding
) -> Finding | None:
    rows, targets = case.graph.rows, case.targets_after(number)
    stopped = [each for each in targets if each is not None and each in found]
    if stopped and all(
        each is None or rows[each].statistics.gradient.total == 0 for each in targets
    ):
        source = rows[stopped[0]].path
        return Finding("vanishing", f"no gradient reaches it: see {source}", "", source)
    if None in targets and not case.depends_on(None, number):
        return Finding("vanishing", _CONSTANT_LOSS, _CONSTANT_LOSS_CURE, "loss")
    live = [each for each in targets if each is None or rows[each].statistics.gradient.total > 0]
    if not live or ZeroValues(case).blocks(number, live):
        return None
    return _stopped_by(case, number, live, judged)


def _stopped_by(
    case: Investigation, number: int, live: list[int | None], judged: Finding
) -> Finding | None:
    path = case.graph.rows[number].path
    places = case.operations_before(live)
    dependent = _dependent(case, places, number)
    sizes = case.record(places)
    place = _first_stop(case, dependent, sizes, case.place(number))
    if place is None:
        return None
    operation = case.flow.operation(place)
    name = operation.name
    if judged.verdict == "dead" and name not in _CURES:
        return None  # units that are dead by their pre-activations
    culprit = Culprit(place, number, _target_after(case, place, live))
    if name == "convert_element_type" and sizes[place].result is not None:
        return _underflow(case, number, culprit, sizes[place].gradient)
    cause = f"{case.text(culprit)} lets no gradient pass to {path}"
    if name in _CURES or sizes[place].result is None:
        cure = _CURES.get(name, _DEFAULT_CURE).format(dtype=operation.dtypes[0])
        return Finding("vanishing", cause, cure, case.source(culprit))
    if case.wakes(number) or case.graph.rows[number].statistics.input.second == 0:
        return None
    # For other values it would: the units are dead.
    return Finding("dead", cause, kernel_cure(case.graph.rows[number]), case.source(culprit))


def _underflow(case: Investigation, number: int, culprit: Culprit, gradient: Size) -> Finding:
    """Return the finding on a conversion whose gradient the dtype of a layer cannot hold."""
    dtype, largest = case.graph.rows[number].contraction.dtype, float(np.max(gradient.largest))
    cause = (
        f"{case.text(culprit)} loses the gradient of up to {largest:.2g}, because the smallest "
        f"{dtype} is {jnp.finfo(dtype).smallest_subnormal:.2g}"
    )
    return Finding("underflowing", cause, underflow_cure(dtype, largest), case.source(culprit))


def _target_after(case: Investigation, place: Place, live: list[int | None]) -> int | None:
    """Return the first layer that an operation feeds."""
    for target in live:
        if place in case.flow.operations_before([case.target(target)]):
            return target
    return live[0]


def _dependent(case: Investigation, places: Iterable[Place], number: int) -> list[Place]:
    """Return the operations that depend on a layer, in order."""
    reached = {case.place(number)}
    for _ in range(2):  # a loop carries a result back to an earlier place
        for place in places:
            if place not in case.flow.layers and reached & case.flow.operand_places(place):
                reached.add(place)
    return sorted(reached - {case.place(number)})


def _first_stop(
    case: Investigation, dependent: list[Place], sizes: _Sizes, source: Place
) -> Place | None:
    """Return the first operation with a gradient at its result and none at its operand.

    An operation that makes integers or booleans of numbers counts if there is no such one.
    """
    reached = {source, *dependent}
    conversions = []
    for place in dependent:
        operands = reached & case.flow.operand_places(place)
        is_inexact = any(each in sizes and sizes[each].result is not None for each in operands)
        if place not in sizes or not is_inexact:
            continue
        if sizes[place].result is None:
            if case.flow.operation(place).name in _TO_INTEGERS:
                return place
            conversions.append(place)
        elif (
            _is_live(sizes[place].gradient)
            and not any(_is_live(sizes[each].gradient) for each in operands)
            and not _is_gate(case, place, reached)
        ):
            return place
    return conversions[0] if conversions else None


def _is_live(size: Size) -> bool:
    return bool(np.any(np.asarray(size.largest) != 0))


def _is_gate(case: Investigation, place: Place, reached: set[Place]) -> bool:
    """Return whether the other factor of a product depends on parameters, and so learns."""
    if case.flow.operation(place).name not in _PRODUCTS:
        return False
    others = [
        operand
        for operand in case.flow.operands(place)
        if not reached & set(case.flow.producers(operand).places)
    ]
    return any(case.namer.depends_on_parameters(each) for each in others)
