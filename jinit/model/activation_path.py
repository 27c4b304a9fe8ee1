"""The elementwise path after a kernel, from its product to the operation that ends it."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jinit.model.activation import PathEnd
from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation, value_numbers
from jinit.model.primitives import ELEMENTWISE, PRODUCTS, REARRANGEMENTS, SUMS, VALUE_PRESERVING
from jinit.model.sum_readers import is_carried_on
from jinit.model.uses import Site
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS


@dataclass(frozen=True)
class End:
    """The end of a path."""

    last: int
    """Last value on the path."""
    kind: PathEnd
    operation: Operation | None = None
    """Operation that ends the path; None if the path ends in an output of the graph."""


class ActivationPath:
    """The path from one use to the first operation that is not elementwise.

    Args:
      site: the use; the path begins at the result of its operation.
      residual_streams: those of the graph's residual sums (see `Branches`).
    """

    def __init__(self, site: Site, residual_streams: Mapping[int, int]) -> None:
        self.scope, self.graph, self.position = site.scope, site.scope.graph, site.position
        (self.root,) = site.operation.results
        self.added_products: set[int] = set()
        """Results of other kernels that are added to the root."""
        self._residual_streams = residual_streams
        self._is_gated = False
        self._values = {self.root}
        self._sum_inputs: dict[int, int] = {}
        self._unmoved: dict[int, int] = {}
        """The value whose entries each rearranged value on the path holds."""
        self.end = self._follow(self.root)

    def contains(self, operand: Any) -> bool:
        """Return whether an operand is a value on the path."""
        return isinstance(operand, int) and operand in self._values

    def added_kernels(self, value: int) -> set[int]:
        """Return the results of other kernels that sum to this value.

        Empty if the value has other terms, or other users.
        """
        users = len(self.graph.users.get(value, ())) + self.graph.outputs.count(value)
        if users > 1 or value not in self.graph.producers:
            return set()
        operation = self.graph.producers[value]
        name = operation.name
        if name in CONTRACTION_PRIMITIVES:
            return set() if self.scope.values[value].contraction_site is None else {value}
        if name not in VALUE_PRESERVING | SUMS and (name not in AXIS_MOVES or name in REDUCTIONS):
            return set()
        terms = [
            self.added_kernels(operand)
            for operand in value_numbers(operation.operands)
            if self.scope.is_signal(operand)
        ]
        return set().union(*terms) if all(terms) else set()

    def _follow(self, first: int) -> End:
        """Extend the path from a value to its end."""
        last = first
        for operation in self._dependent_operations(first):
            arriving = [operand for operand in operation.operands if self.contains(operand)]
            kind = self._end_kind(operation, arriving)
            if kind and arriving[0] in self._sum_inputs:
                return End(self._sum_inputs[arriving[0]], "pooling", operation)
            if kind == "attention":
                return self._follow_attention(arriving[0], operation)
            if kind:
                return End(arriving[0], kind, operation)
            self._extend(operation, arriving)
            last = operation.results[0]
        outputs = [output for output in self.graph.outputs if self.contains(output)]
        return End(outputs[0] if outputs else last, "output")

    def _follow_attention(self, last: int, operation: Operation) -> End:
        """Return the end of a path that meets another signal in a product.

        The end is attention, unless the product is then added to a value that the kernel's own
        input is computed from. Such a kernel is part of a residual branch.
        """
        added_products = set(self.added_products)
        self._values.update(operation.results)
        end = self._follow(operation.results[0])
        self.added_products = added_products
        is_residual = (
            end.kind == "residual"
            and end.operation is not None
            and self._input_values().intersection(value_numbers(end.operation.operands))
        )
        return End(last, "residual" if is_residual else "attention", operation)

    def _input_values(self) -> set[int]:
        """Return all values that the kernel's own input is computed from."""
        values = {self.root}
        for operation in reversed(self.graph.operations[: self.position + 1]):
            if values.intersection(operation.results):
                values.update(value_numbers(operation.operands))
        return values

    def _dependent_operations(self, first: int) -> Iterator[Operation]:
        """Yield the operations that depend on a value, in execution order."""
        waiting = list(self.graph.users.get(first, ()))
        seen = set(waiting)
        while waiting:
            operation = self.graph.operations[heapq.heappop(waiting)]
            yield operation
            for result in operation.results:
                for position in self.graph.users.get(result, ()):
                    if position not in seen:
                        seen.add(position)
                        heapq.heappush(waiting, position)

    def _extend(self, operation: Operation, arriving: list[int]) -> None:
        self._values.update(operation.results)
        if operation.name == "reduce_sum":
            self._sum_inputs[operation.results[0]] = arriving[0]
        elif all(value in self._sum_inputs for value in arriving):
            self._sum_inputs[operation.results[0]] = self._sum_inputs[arriving[0]]
        is_move = operation.name in REARRANGEMENTS or operation.name in VALUE_PRESERVING
        is_move |= operation.name in AXIS_MOVES and operation.name not in REDUCTIONS
        if is_move:
            source = self._unmoved.get(arriving[0], arriving[0])
            self._unmoved.update(dict.fromkeys(operation.results, source))

    def _end_kind(self, operation: Operation, arriving: list[int]) -> PathEnd | Literal[""]:
        """Return how this operation ends the path; empty if the path continues."""
        name = operation.name
        if name in CONTRACTION_PRIMITIVES:
            return "attention" if self._has_other_signal(operation, arriving) else "product"
        if name.startswith("reduce_window"):
            return "pooling"
        if name in REDUCTIONS:
            return "" if name == "reduce_sum" else "softmax"
        if name in AXIS_MOVES or name in VALUE_PRESERVING:
            return ""
        if name in REARRANGEMENTS:
            return "" if self._rearranges_one_value(operation, arriving) else "other"
        if name not in ELEMENTWISE:
            return "other"
        return self._elementwise_end(operation, name, arriving)

    def _rearranges_one_value(self, operation: Operation, arriving: list[int]) -> bool:
        """Return whether only entries of one value on the path, or statistics of it, are moved."""
        are_statistics = all(value in self._sum_inputs for value in arriving)
        is_one = len({self._unmoved.get(value, value) for value in arriving}) == 1
        return are_statistics or (is_one and len(operation.results) == 1)

    def _has_other_signal(self, operation: Operation, arriving: list[int]) -> bool:
        """Return whether a contraction is with another signal, or with constants.

        A constant matrix, such as the adjacency matrix of a graph, is not the kernel of a layer.
        """
        others = [operand for operand in operation.operands[:2] if operand not in arriving]
        return (
            len(arriving) > 1
            or any(map(self.scope.is_signal, others))
            or all(map(self.scope.is_constant, others))
        )

    def _elementwise_end(
        self, operation: Operation, name: str, arriving: list[int]
    ) -> PathEnd | Literal[""]:
        others = [
            operand
            for operand in value_numbers(operation.operands)
            if not self.contains(operand) and self.scope.is_signal(operand)
        ]
        self._is_gated |= bool(others) and name in PRODUCTS
        if not others or name in PRODUCTS:
            return ""
        if name in SUMS:
            return self._sum_end(operation, arriving, others)
        return "" if name == "select_n" and others == [operation.operands[0]] else "other"

    def _sum_end(
        self, operation: Operation, arriving: list[int], others: list[int]
    ) -> PathEnd | Literal[""]:
        """Return how a sum with other signals ends the path.

        The path continues if they are products of kernels, through a sum of gated signals, such as
        the state of a recurrent cell, and through a sum that is itself the argument of a gate.
        """
        (result,) = operation.results
        if result in self._residual_streams:
            return "shortcut" if self._residual_streams[result] in arriving else "residual"
        products = list(map(self.added_kernels, others))
        self.added_products.update(*products)
        if all(products):
            return ""
        return "other" if is_carried_on(self.scope, result) and not self._is_gated else ""
