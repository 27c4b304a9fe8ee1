"""Constants that multiply a signal just before its product with a kernel."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation, value_numbers
from jinit.model.primitives import ELEMENTWISE, PRODUCTS, SUMS, VALUE_PRESERVING
from jinit.model.uses import Scope, Site
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS

_PIXEL_MAXIMA = (127.5, 128.0, 255.0, 256.0, 65535.0)
"""Numbers that pixels are divided by."""
_MAX_STEPS = 64
"""Largest number of operations in an activation that is looked through."""

_WHOLE_MOVES = frozenset({"reshape", "transpose", "broadcast_in_dim", "squeeze", *REDUCTIONS})
"""Moves of all entries of an array, and reductions."""

OutputScale = Callable[[Scope, int], float | None]
"""Function that returns the constant before the activation that a value is the result of; None if
the value is not the result of a kernel's activation."""


def find_signal_factor(site: Site, output_scale: OutputScale) -> float:
    """Return the constant that the signal was multiplied by before it meets the kernel.

    Only constants after an activation, a normalization, a sum of signals or a floating-point input
    count. Those after a mean, a pooling or a product of signals belong to these; those that turn
    pixels into numbers of order one belong to the input.

    Args:
      site: the use of a kernel in a contraction.
      output_scale: the constants of the kernels' activations.
    """
    signals = [value for value in site.operation.operands if site.scope.is_signal(value)]
    return _Walk(site.scope, output_scale).follow(signals[0]) if len(signals) == 1 else 1.0


class _Step(NamedTuple):
    """A step back, to a value that is then multiplied by a constant."""

    value: int
    constant: float


class _Walk:
    """A walk from a signal back to the operation that made it."""

    def __init__(self, scope: Scope, output_scale: OutputScale) -> None:
        self.scope, self.graph, self.output_scale = scope, scope.graph, output_scale

    def follow(self, value: int) -> float:
        """Return the product of the constants on the way."""
        steps = [_Step(value, 1.0)]
        while (operation := self.graph.producers.get(steps[-1].value)) is not None:
            step = self._constant_step(operation)
            if step is None:
                break
            steps.append(step)
        known = self._known_factor(steps)
        if known is not None:
            return known
        factor = abs(math.prod(step.constant for step in steps))
        return factor if self._counts(steps[-1].value, factor) else 1.0

    def _known_factor(self, steps: Sequence["_Step"]) -> float | None:
        """Return the constants up to the result of a kernel's activation, those at its end too."""
        factor = 1.0
        for step in steps:
            factor *= abs(step.constant)
            output_scale = self.output_scale(self.scope, step.value)
            if output_scale is not None:
                return factor * output_scale
        return None

    def _constant_step(self, operation: Operation) -> "_Step | None":
        """Return the operand that an operation multiplies by a constant, and the constant."""
        name, first = operation.name, operation.operands[0]
        if name == "convert_element_type" and not self._is_float(first):
            return None
        if name == "neg" or _keeps_entries(name):
            return _Step(first, 1.0) if self.scope.is_signal(first) else None
        if name not in PRODUCTS:
            return None
        first, second = operation.operands
        if self.scope.is_signal(first) and self.scope.is_constant(second):
            factor = self.scope.constants.read(second).factor
            return _Step(first, factor if name == "mul" else 1 / factor) if factor else None
        if name == "mul" and self.scope.is_signal(second) and self.scope.is_constant(first):
            factor = self.scope.constants.read(first).factor
            return _Step(second, factor) if factor else None
        return None

    def _counts(self, value: int, factor: float) -> bool:
        """Return whether a factor of this signal counts."""
        operation = self.graph.producers.get(value)
        if not self._is_float(value):
            return False
        if operation is None:
            is_input = not self.scope.place
            return not (is_input and any(abs(factor * size - 1) < 1e-3 for size in _PIXEL_MAXIMA))
        name = operation.name
        if name in CONTRACTION_PRIMITIVES:
            return any(self.scope.values[v].weights for v in value_numbers(operation.operands))
        is_cast = name == "convert_element_type"  # from integers, where the walk ends
        if name not in ELEMENTWISE or is_cast or self._is_shifted_input(value):
            return False
        signals = {v for v in value_numbers(operation.operands) if self.scope.is_signal(v)}
        return name not in PRODUCTS or len(signals) < 2 or self._has_one_source(signals)

    def _is_float(self, value: int) -> bool:
        operation = self.graph.producers.get(value)
        if operation is not None:
            return "float" in operation.dtypes[operation.results.index(value)]
        return "float" in str(self.graph.avals[self.graph.inputs.index(value)].dtype)

    def _is_shifted_input(self, value: int) -> bool:
        """Return whether constants alone turn an input of the network into this value."""
        while value in self.graph.producers:
            operation = self.graph.producers[value]
            signals = [v for v in operation.operands if self.scope.is_signal(v)]
            others = [v for v in operation.operands if not self.scope.is_signal(v)]
            is_affine = operation.name in SUMS | PRODUCTS or _keeps_entries(operation.name)
            if len(signals) != 1 or not is_affine or not all(map(self.scope.is_constant, others)):
                return False
            (value,) = signals
        return not self.scope.place

    def _has_one_source(self, values: set[int]) -> bool:
        """Return whether all values are functions of one, entry by entry or by reductions.

        Their product is then an activation, such as silu, or a normalization.
        """
        waiting = set(values)
        for _ in range(_MAX_STEPS):
            value = max(waiting)
            waiting.remove(value)
            if not waiting:
                return True
            operation = self.graph.producers.get(value)
            name = "" if operation is None else operation.name
            if operation is None or name not in ELEMENTWISE | _WHOLE_MOVES:
                return False
            waiting |= {v for v in value_numbers(operation.operands) if self.scope.is_signal(v)}
        return False


def _keeps_entries(name: str) -> bool:
    return name in VALUE_PRESERVING or (name in AXIS_MOVES and name not in REDUCTIONS)
