"""Products of signals in one graph: the scores of attention, and the sums of values they weigh."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from jinit.model.contractions import unit_axes
from jinit.model.numbered_entries import entries_along, move_entries, number_axes, varies
from jinit.model.operation import Operation, value_numbers
from jinit.model.uses import Scope, Site


class Entries(NamedTuple):
    """The contraction that an array comes from, and numbers of its units along the array."""

    origin: int
    """Position of the contraction."""
    numbers: np.ndarray


class AppliedKernel(NamedTuple):
    """A kernel that is applied to a weighted sum."""

    position: int
    """Position of its contraction."""
    numbers: np.ndarray
    """Numbers of the values' units along the kernel's inputs."""


@dataclass(frozen=True)
class WeightedSum:
    """A product of scores and values: what its three signals come from."""

    query: Entries | None
    """Units of a kernel along the operand of the scores; None if it comes from no single kernel."""
    key: Entries | None
    value: Entries | None
    query_features: tuple[int, ...]
    """Axes of the query operand that the scores sum over."""
    key_features: tuple[int, ...]
    head_dim: int
    """Number of features that the scores sum over."""


class SignalProducts:
    """The weighted sums of one graph, read in execution order.

    Args:
      scope: the graph, with what is known of its values.
      sites: all uses of the parameters.
      residual_streams: those of the graph's residual sums, at which signals are no longer followed.
    """

    def __init__(
        self, scope: Scope, sites: Sequence[Site], residual_streams: Mapping[int, int]
    ) -> None:
        self.scope, self.graph = scope, scope.graph
        self.sums: dict[int, WeightedSum] = {}
        """Weighted sums by position."""
        self.applied: dict[int, list[AppliedKernel]] = {}
        """Kernels that are applied to each weighted sum."""
        self._residual_sums = residual_streams
        self._sites = sites
        self._entries: dict[int, Entries] = {}
        if any(map(self._is_signal_product, self.graph.operations)):
            for position, operation in enumerate(self.graph.operations):
                self._read_operation(position, operation)

    @cached_property
    def kernels(self) -> dict[int, set[int]]:
        """Indices of the parameters that every contraction of kernels applies, by position."""
        kernels: dict[int, set[int]] = {}
        for site in self._sites:
            if site.scope is self.scope and site.use.role == "kernel" and site.is_contraction:
                kernels.setdefault(site.position, set()).add(site.use.leaf)
        return kernels

    @cached_property
    def _product_sources(self) -> set[int]:
        """Values that reach a product of signals without passing a kernel."""
        sources: set[int] = set()
        for position, operation in reversed([*enumerate(self.graph.operations)]):
            is_before = position not in self.kernels and sources.intersection(operation.results)
            if is_before or self._is_signal_product(operation):
                sources.update(value_numbers(operation.operands))
        return sources

    def signal_side(self, operation: Operation) -> int:
        """Return which operand of a contraction of kernels is the signal: 0 or 1."""
        return 0 if self.scope.is_signal(operation.operands[0]) else 1

    def _is_signal_product(self, operation: Operation) -> bool:
        signals = map(self.scope.is_signal, operation.operands)
        return operation.name == "dot_general" and all(signals)

    def _operand_entries(self, operation: Operation) -> list[Entries | None]:
        return [
            self._entries.get(operand) if isinstance(operand, int) else None
            for operand in operation.operands
        ]

    def _read_operation(self, position: int, operation: Operation) -> None:
        found = self._operand_entries(operation)
        if position in self.kernels:
            self._read_kernel(position, operation, found)
        elif self._is_signal_product(operation):
            self._read_product(position, operation, found)
        elif (main := self._main_entries(found)) is not None:
            self._follow(operation, found, main.origin)

    def _follow(self, operation: Operation, found: Sequence[Entries | None], origin: int) -> None:
        """Note the entries of the results of an operation that moves or changes entries."""
        if origin in self.kernels and not self._product_sources.intersection(operation.results):
            return
        numbers = [entry.numbers if entry and entry.origin == origin else None for entry in found]
        moved = move_entries(operation, numbers)
        for result, result_numbers in zip(operation.results, moved, strict=True):
            if result_numbers is not None and result not in self._residual_sums:
                self._entries[result] = Entries(origin, result_numbers)

    def _main_entries(self, found: Sequence[Entries | None]) -> Entries | None:
        """Return the entries that an operation keeps: those of a product, or of its only kernel."""
        known = [entry for entry in found if entry is not None]
        products = [entry for entry in known if entry.origin not in self.kernels]
        is_single = len({entry.origin for entry in known}) == 1
        return products[0] if products else known[0] if is_single else None

    def _read_kernel(
        self, position: int, operation: Operation, found: Sequence[Entries | None]
    ) -> None:
        side = self.signal_side(operation)
        if operation.results[0] in self._product_sources:
            numbers = number_axes(operation.shapes[0], unit_axes(operation, 1 - side))
            self._entries[operation.results[0]] = Entries(position, numbers)
        entry = found[side]
        if entry is not None and entry.origin in self.sums and operation.name == "dot_general":
            summed = operation.params["dimension_numbers"][0]
            order = np.argsort(summed[1 - side])
            inputs = entries_along(entry.numbers, [summed[side][axis] for axis in order]).ravel()
            self.applied.setdefault(entry.origin, []).append(AppliedKernel(position, inputs))

    def _read_product(
        self, position: int, operation: Operation, found: Sequence[Entries | None]
    ) -> None:
        """Note the entries of a product of signals, which is a weighted sum if it has scores."""
        sides = [side for side, entry in enumerate(found) if self._are_scores(entry)]
        numbers = number_axes(operation.shapes[0], _left_axes(operation))
        if len(sides) == 1:
            (side,) = sides
            weighted_sum = self._read_sum(operation, found, side)
            if weighted_sum is not None:
                self.sums[position] = weighted_sum
            value = found[1 - side]
            if value is not None:
                numbers = _value_numbers(value.numbers, operation, 1 - side)
        self._entries[operation.results[0]] = Entries(position, numbers)

    def _are_scores(self, entry: Entries | None) -> bool:
        """Return whether entries come from a product of signals that is not a weighted sum."""
        if entry is None:
            return False
        return entry.origin not in self.kernels and entry.origin not in self.sums

    def _read_sum(
        self, operation: Operation, found: Sequence[Any], side: int
    ) -> WeightedSum | None:
        """Return the weighted sum whose scores are on one side; None if it is not attention.

        Scores that sum over nothing or over positions, as in linear attention, and keys whose units
        are weighed instead of their positions, are not attention in this sense.
        """
        scores = self.graph.operations[found[side].origin]
        features = scores.params["dimension_numbers"][0]
        operands = self._operand_entries(scores)
        if not features[0] or not operation.params["dimension_numbers"][0][side]:
            return None
        for entry, axes in zip(operands, features, strict=True):
            if entry is not None and not varies(entry.numbers, axes):
                return None
        query = 1 if _has_keys_on_left(operation, found[side].numbers, side) else 0
        key = operands[1 - query]
        positions = _free_axes(scores, 1 - query)
        if key is not None and positions and varies(key.numbers, positions):
            return None
        return WeightedSum(
            query=self._from_kernel(operands[query]),
            key=self._from_kernel(operands[1 - query]),
            value=self._from_kernel(found[1 - side]),
            query_features=features[query],
            key_features=features[1 - query],
            head_dim=int(np.prod([scores.operand_shapes[0][axis] for axis in features[0]])),
        )

    def _from_kernel(self, entry: Entries | None) -> Entries | None:
        return entry if entry is not None and entry.origin in self.kernels else None


def _free_axes(operation: Operation, side: int) -> list[int]:
    """Return the axes of an operand of a product that are neither summed over nor batched.

    Axes of size one are left out.
    """
    summed, batch = operation.params["dimension_numbers"]
    sizes = enumerate(operation.operand_shapes[side])
    taken = {*summed[side], *batch[side]}
    return [axis for axis, size in sizes if size > 1 and axis not in taken]


def _left_axes(operation: Operation) -> range:
    """Return the axes of a product that come from the free axes of its left operand."""
    summed, batch = operation.params["dimension_numbers"]
    return range(len(batch[0]), len(operation.operand_shapes[0]) - len(summed[0]))


def _has_keys_on_left(operation: Operation, numbers: np.ndarray, side: int) -> bool:
    """Return whether the left operand of the scores holds the keys, whose positions are summed.

    Args:
      operation: the weighted sum.
      numbers: numbers of the left operand's positions along the scores.
      side: side of the scores in the weighted sum.
    """
    positions = operation.params["dimension_numbers"][0][side]
    is_one_position = all(operation.operand_shapes[side][axis] == 1 for axis in positions)
    return not is_one_position and varies(numbers, positions)


def _value_numbers(numbers: np.ndarray, operation: Operation, side: int) -> np.ndarray:
    """Return the numbers of the values' units along a weighted sum."""
    summed, batch = operation.params["dimension_numbers"]
    shape, taken = operation.shapes[0], {*summed[side], *batch[side]}
    free = [axis for axis in range(numbers.ndim) if axis not in taken]
    first = len(batch[0]) if side == 0 else len(shape) - len(free)
    targets = [*range(len(batch[0])), *range(first, first + len(free))]
    kept = entries_along(numbers, [*batch[side], *free])
    sizes = dict(zip(targets, kept.shape, strict=True))
    return np.broadcast_to(kept.reshape([sizes.get(axis, 1) for axis in range(len(shape))]), shape)
