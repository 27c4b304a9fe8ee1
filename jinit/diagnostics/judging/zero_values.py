"""Values that are zero because parameters are: gates and scales that have yet to learn."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from jinit.diagnostics.judging.investigation import Investigation
from jinit.model import FlowValue, Place

_PRODUCTS = frozenset({"mul", "dot_general", "conv_general_dilated"})
_SUMS = frozenset({"add", "sub", "add_any"})
_NONZERO_AT_ZERO = frozenset(
    {"exp", "exp2", "logistic", "cos", "cosh", "log", "rsqrt", "erfc", "acos", "acosh", "lgamma"}
    | {"eq", "ge", "le", "not", "is_finite", "pow", "digamma"}
)


@dataclass(frozen=True)
class ZeroValues:
    """The values of a network that are zero because a kernel, a scale or a gate is."""

    case: Investigation
    _known: dict[Place, bool] = field(default_factory=dict)

    def blocks(self, number: int, targets: Iterable[int | None]) -> bool:
        """Return whether products with zeros lie on all ways from a layer to some later ones.

        Args:
          number: number of the layer.
          targets: numbers of the later layers; None for the loss.
        """
        flow, place = self.case.flow, self.case.place(number)
        live_layers = [
            each for each in targets if each is None or self.case.graph.rows[each].weight.second > 0
        ]
        signals = [self.case.target(each) for each in live_layers]
        reached = {place}
        for _ in range(2):  # a loop carries a result back to an earlier place
            for each in flow.operations_before(signals):
                if reached & flow.operand_places(each) and not self._is_gated(each, reached):
                    reached.add(each)
        return not any(reached & set(flow.producers(signal).places) for signal in signals)

    def _is_gated(self, place: Place, reached: set[Place]) -> bool:
        """Return whether an operation is a layer, or a product with a value that is zero."""
        flow = self.case.flow
        if place in flow.layers:
            return True
        others = [
            operand
            for operand in flow.operands(place)
            if not reached & set(flow.producers(operand).places)
        ]
        return flow.operation(place).name in _PRODUCTS and any(map(self._is_zero, others))

    def _is_zero(self, signal: FlowValue) -> bool:
        """Return whether all that produces a value is zero; a constant zero does not count."""
        places, inputs = self.case.flow.producers(signal)
        return bool(places or inputs) and (
            all(map(self._is_zero_result, places)) and all(map(self._is_zero_parameter, inputs))
        )

    def _is_zero_parameter(self, number: int) -> bool:
        paths = self.case.model.paths
        return number < len(paths) and paths[number] in self.case.zero_parameters

    def _is_zero_result(self, place: Place) -> bool:
        if place not in self._known:
            self._known[place] = False  # for a loop that carries the value
            self._known[place] = self._compute(place)
        return self._known[place]

    def _compute(self, place: Place) -> bool:
        flow, name = self.case.flow, self.case.flow.operation(place).name
        if place in flow.layers:
            row = self.case.graph.rows[self.case.first_layers[place]]
            return row.weight.second == 0 and row.statistics.preactivation.second == 0
        operands = flow.operands(place)
        zeros = list(map(self._is_zero, operands))
        if name in _PRODUCTS:
            return any(zeros)
        if name in _SUMS:
            return all(zeros)
        constants = [not any(flow.producers(operand)) for operand in operands]
        return (
            name not in _NONZERO_AT_ZERO
            and any(zeros)
            and all(zero or constant for zero, constant in zip(zeros, constants, strict=True))
        )
