"""The kernels of attention, found by the use of their products.

Attention is a product of two signals, the scores, that weighs the entries of a third signal. The
operand of the scores along whose positions the weighted sum runs holds the keys, the other one the
queries, and the third signal the values. The kernel that is applied to the weighted sum is the
output kernel.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from jinit.model.branches import Branches
from jinit.model.contractions import unit_axes
from jinit.model.numbered_entries import distinct_part, move_entries, number_axes, varies
from jinit.model.operation import Operation
from jinit.model.primitives import VALUE_PRESERVING
from jinit.model.uses import Scope, Site
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS

AttentionRole = Literal["query", "key", "value", "output"]
ATTENTION_ROLES: tuple[AttentionRole, ...] = get_args(AttentionRole)


@dataclass(frozen=True)
class UnitBlocks:
    """The units `start ≤ unit mod period < start + size` of a kernel."""

    start: int
    size: int
    period: int

    def numbers(self, units: int) -> np.ndarray:
        """Return the numbers of these units.

        Args:
          units: number of all units of the kernel.

        >>> UnitBlocks(1, 2, 4).numbers(8).tolist()
        [1, 2, 5, 6]
        """
        remainder = np.arange(units) % self.period
        return np.flatnonzero((self.start <= remainder) & (remainder < self.start + self.size))


@dataclass(frozen=True)
class AttentionPart:
    """The part of a kernel, or of a block of its units, in one attention of the network."""

    role: AttentionRole
    attention: int
    """Number of the attention, in execution order."""
    head_dim: int
    """Features of a query and of a key, which their product sums over."""
    units: UnitBlocks
    """The kernel's outputs that have this part; for an output kernel, all of its inputs."""
    unit_count: int
    """Number of these units: heads times features of a head."""
    is_ordered: bool
    """Whether the features of a head are neighbors; for an output kernel, whether its inputs have
    the order of the values' units."""
    is_cross: bool
    """Whether keys come from another signal than queries."""


class _Entries(NamedTuple):
    """The contraction that an array comes from, and numbers of its units along the array."""

    origin: int
    numbers: np.ndarray


class _Mix(NamedTuple):
    """A weighted sum of values: the operands of its scores, its values, and their sizes."""

    query: _Entries | None
    key: _Entries | None
    value: _Entries | None
    head_dim: int
    query_features: Sequence[int]
    """Axes of the query operand that the scores sum over."""
    key_features: Sequence[int]


def find_attention(
    sites: Sequence[Site], branches: Mapping[Scope, Branches]
) -> dict[int, tuple[AttentionPart, ...]]:
    """Return the parts that kernels have in attention, by index of the parameter.

    Args:
      sites: all uses of the parameters, from `find_sites`.
      branches: the residual sums of every scope.
    """
    parts: dict[int, dict[AttentionRole, AttentionPart]] = {}
    count = 0
    for scope in branches:
        reading = _ScopeReading(scope, sites, branches[scope])
        for mix, outputs in reading.attentions():
            for leaf, part in reading.parts(count, mix, outputs):
                parts.setdefault(leaf, {}).setdefault(part.role, part)
            count += 1
    return {leaf: tuple(by_role.values()) for leaf, by_role in parts.items()}


class _ScopeReading:
    """The entries of every value of one graph that come from kernels or products of signals."""

    def __init__(self, scope: Scope, sites: Sequence[Site], branches: Branches) -> None:
        self.scope, self.graph = scope, scope.graph
        self.sums = branches.residual_streams
        self.entries: dict[int, _Entries] = {}
        self.mixes: dict[int, _Mix] = {}
        self.outputs: dict[int, list[tuple[int, np.ndarray]]] = {}
        self.kernels: dict[int, list[Site]] = {}
        for site in sites:
            if site.scope is scope and site.use.role == "kernel" and site.is_contraction:
                self.kernels.setdefault(site.position, []).append(site)

    def attentions(self) -> Iterable[tuple[_Mix, list[tuple[int, np.ndarray]]]]:
        """Return every weighted sum of values with the output kernels that are applied to it."""
        if not any(map(self._is_signal_product, self.graph.operations)):
            return
        for position, operation in enumerate(self.graph.operations):
            self._read_operation(position, operation)
        for position, mix in self.mixes.items():
            yield mix, self.outputs.get(position, [])

    def _is_signal_product(self, operation: Operation) -> bool:
        return operation.name == "dot_general" and all(
            map(self.scope.is_signal, operation.operands)
        )

    def _read_operation(self, position: int, operation: Operation) -> None:
        found = [
            self.entries.get(operand) if isinstance(operand, int) else None
            for operand in operation.operands
        ]
        if position in self.kernels:
            self._read_kernel(position, operation, found)
        elif self._is_signal_product(operation):
            self._read_product(position, operation, found)
        elif known := self._main_entries(found):
            numbers = [
                entry.numbers if entry and entry.origin == known.origin else None for entry in found
            ]
            for result, moved in zip(
                operation.results, move_entries(operation, numbers), strict=True
            ):
                if moved is not None and result not in self.sums:
                    self.entries[result] = _Entries(known.origin, moved)

    def _main_entries(self, found: Sequence[_Entries | None]) -> _Entries | None:
        """Return the entries that an operation keeps: those of scores, or of its only kernel."""
        known = [entry for entry in found if entry is not None]
        products = [entry for entry in known if entry.origin not in self.kernels]
        if products:
            return products[0]
        return known[0] if len({entry.origin for entry in known}) == 1 else None

    def _read_kernel(
        self, position: int, operation: Operation, found: Sequence[_Entries | None]
    ) -> None:
        signal = 0 if self.scope.is_signal(operation.operands[0]) else 1
        axes = unit_axes(operation, 1 - signal)
        self.entries[operation.results[0]] = _Entries(
            position, number_axes(operation.shapes[0], axes)
        )
        entry = found[signal]
        if entry is not None and entry.origin in self.mixes and operation.name == "dot_general":
            summed = operation.params["dimension_numbers"][0]
            order = np.argsort(summed[1 - signal])
            numbers = _along(entry.numbers, [summed[signal][axis] for axis in order])
            self.outputs.setdefault(entry.origin, []).append((position, numbers))

    def _read_product(
        self, position: int, operation: Operation, found: Sequence[_Entries | None]
    ) -> None:
        """Note the entries of a product of signals, which is a weighted sum if it has scores."""
        (summed, batch) = operation.params["dimension_numbers"]
        scores = [
            number
            for number, entry in enumerate(found)
            if entry is not None
            and entry.origin not in self.kernels
            and entry.origin not in self.mixes
        ]
        shape = operation.shapes[0]
        rank = len(operation.operand_shapes[0]) - len(summed[0])
        left = range(len(batch[0]), rank)
        if len(scores) == 1:
            self._read_mix(position, operation, found, scores[0])
            axes = left if scores[0] == 1 else range(rank, len(shape))
            value = found[1 - scores[0]]
            numbers = (
                number_axes(shape, axes)
                if value is None
                else self._value_numbers(value.numbers, operation, 1 - scores[0])
            )
            self.entries[operation.results[0]] = _Entries(position, numbers)
        else:
            self.entries[operation.results[0]] = _Entries(position, number_axes(shape, left))

    def _value_numbers(self, numbers: np.ndarray, operation: Operation, side: int) -> np.ndarray:
        """Return the numbers of the values' units along the weighted sum."""
        summed, batch = operation.params["dimension_numbers"]
        shape = operation.shapes[0]
        free = [
            axis
            for axis in range(numbers.ndim)
            if axis not in summed[side] and axis not in batch[side]
        ]
        first = len(batch[0]) if side == 0 else len(shape) - len(free)
        targets = [*range(len(batch[0])), *range(first, first + len(free))]
        kept = _along(numbers, [*batch[side], *free], flatten=False)
        sizes = [1] * len(shape)
        for size, axis in zip(kept.shape, targets, strict=True):
            sizes[axis] = size
        return np.broadcast_to(kept.reshape(sizes), shape)

    def _read_mix(
        self, position: int, operation: Operation, found: Sequence[Any], side: int
    ) -> None:
        """Note a weighted sum whose weights come from the scores on this side."""
        scores = self.graph.operations[found[side].origin]
        features = scores.params["dimension_numbers"][0]
        operands = [
            self.entries.get(operand) if isinstance(operand, int) else None
            for operand in scores.operands
        ]
        for entry, axes in zip(operands, features, strict=True):
            if entry is not None and not varies(entry.numbers, axes):
                return  # the sum runs over positions, as in linear attention
        positions = operation.params["dimension_numbers"][0][side]
        is_one_position = all(operation.operand_shapes[side][axis] == 1 for axis in positions)
        keys_on_left = not is_one_position and varies(found[side].numbers, positions)
        query = 1 if keys_on_left else 0
        self.mixes[position] = _Mix(
            query=self._kernel_entries(operands[query]),
            key=self._kernel_entries(operands[1 - query]),
            value=self._kernel_entries(found[1 - side]),
            head_dim=int(np.prod([scores.operand_shapes[0][axis] for axis in features[0]])),
            query_features=features[query],
            key_features=features[1 - query],
        )

    def _kernel_entries(self, entry: _Entries | None) -> _Entries | None:
        return entry if entry is not None and entry.origin in self.kernels else None

    def parts(
        self, attention: int, mix: _Mix, outputs: Sequence[tuple[int, np.ndarray]]
    ) -> Iterable[tuple[int, AttentionPart]]:
        """Yield the index of every kernel of an attention with its part."""
        is_cross = self._is_cross(mix)
        features = {"query": mix.query_features, "key": mix.key_features}
        named: dict[AttentionRole, _Entries | None] = {
            "query": mix.query,
            "key": mix.key,
            "value": mix.value,
        }
        for role, entry in named.items():
            if entry is None:
                continue
            units = np.unique(distinct_part(entry.numbers))
            blocks = _find_blocks(units, self._unit_count(entry.origin))
            if blocks is not None:
                ordered = role == "value" or _is_last(entry.numbers, features[role])
                part = AttentionPart(
                    role, attention, mix.head_dim, blocks, len(units), ordered, is_cross
                )
                yield from self._name_leaf(entry.origin, part)
        value_units = None if mix.value is None else np.unique(distinct_part(mix.value.numbers))
        for position, numbers in outputs:
            size = len(numbers)
            ordered = value_units is not None and np.array_equal(value_units, numbers)
            part = AttentionPart(
                "output",
                attention,
                mix.head_dim,
                UnitBlocks(0, size, size),
                size,
                ordered,
                is_cross,
            )
            yield from self._name_leaf(position, part)

    def _name_leaf(self, position: int, part: AttentionPart) -> Iterable[tuple[int, AttentionPart]]:
        """Yield the kernel that is applied there, unless it is made of several parameters."""
        leaves = {site.use.leaf for site in self.kernels[position]}
        if len(leaves) == 1:
            yield leaves.pop(), part

    def _unit_count(self, position: int) -> int:
        operation = self.graph.operations[position]
        weight = 1 if self.scope.is_signal(operation.operands[0]) else 0
        axes = unit_axes(operation, weight)
        return int(np.prod([operation.shapes[0][axis] for axis in axes]))

    def _is_cross(self, mix: _Mix) -> bool:
        """Return whether the kernels of queries and keys are applied to different signals."""
        if mix.query is None or mix.key is None:
            return False
        return self._signal(mix.query.origin) != self._signal(mix.key.origin)

    def _signal(self, position: int) -> Any:
        """Return the signal of a kernel, before casts and moves of its axes."""
        operands = self.graph.operations[position].operands
        value = operands[0] if self.scope.is_signal(operands[0]) else operands[1]
        while (operation := self.graph.producers.get(value)) is not None:
            moves = operation.name in VALUE_PRESERVING or (
                operation.name in AXIS_MOVES and operation.name not in REDUCTIONS
            )
            if not moves or not isinstance(operation.operands[0], int):
                break
            value = operation.operands[0]
        return value


def _along(numbers: np.ndarray, axes: Sequence[int], flatten: bool = True) -> np.ndarray:
    """Return the numbers along some axes, in this order, at the first entry of all others."""
    others = [axis for axis in range(numbers.ndim) if axis not in axes]
    kept = numbers.transpose([*others, *axes])[(0,) * len(others)]
    return kept.reshape(-1) if flatten else kept


def _is_last(numbers: np.ndarray, axes: Sequence[int]) -> bool:
    """Return whether neighbors along an axis are neighboring units."""
    along = _along(numbers, axes)
    return bool((np.diff(np.sort(along)) == 1).all())


def _find_blocks(units: np.ndarray, total: int) -> UnitBlocks | None:
    """Return sorted numbers of units as blocks of equal size and distance; None if they differ."""
    gaps = np.flatnonzero(np.diff(units) > 1)
    size = int(gaps[0]) + 1 if len(gaps) else len(units)
    period = int(units[size] - units[0]) if len(gaps) else total
    blocks = UnitBlocks(int(units[0]) % period, size, period)
    return blocks if np.array_equal(blocks.numbers(total), units) else None
