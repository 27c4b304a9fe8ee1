"""The kernels of attention, found by the use of their products.

Attention is a product of two signals, the scores, that weighs the entries of a third signal. The
operand of the scores along whose positions the weighted sum runs holds the keys, the other one the
queries, and the third signal the values. The kernel that is applied to the weighted sum is the
output kernel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from jinit.model.branches import Branches
from jinit.model.contractions import unit_axes
from jinit.model.numbered_entries import distinct_numbers, entries_along
from jinit.model.primitives import VALUE_PRESERVING
from jinit.model.uses import Site
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS
from jinit.model.weighted_sums import AppliedKernel, Entries, SignalProducts, WeightedSum

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


def find_attention(
    sites: Sequence[Site], branches: Branches
) -> dict[int, tuple[AttentionPart, ...]]:
    """Return the parts that kernels have in attention, by index of the parameter.

    Args:
      sites: all uses of the parameters, from `find_sites`.
      branches: the residual branches of the computation.
    """
    parts: dict[int, dict[AttentionRole, AttentionPart]] = {}
    count = 0
    for scope, residual_streams in branches.residual_streams.items():
        products = SignalProducts(scope, sites, residual_streams)
        for position in products.sums:
            for kernel, part in _Attention(products, position, count).parts():
                leaves = products.kernels[kernel]
                if len(leaves) == 1:  # several parameters were joined before use
                    parts.setdefault(min(leaves), {}).setdefault(part.role, part)
            count += 1
    return {leaf: tuple(by_role.values()) for leaf, by_role in parts.items()}


class _Attention:
    """One weighted sum and the parts of the kernels around it."""

    def __init__(self, products: SignalProducts, position: int, number: int) -> None:
        self.products, self.graph, self.number = products, products.graph, number
        self.weighted_sum: WeightedSum = products.sums[position]
        self.outputs: Sequence[AppliedKernel] = products.applied.get(position, ())

    def parts(self) -> Iterator[tuple[int, AttentionPart]]:
        """Yield the position of every kernel with its part."""
        weighted_sum = self.weighted_sum
        inputs: tuple[tuple[AttentionRole, Entries | None, tuple[int, ...]], ...] = (
            ("query", weighted_sum.query, weighted_sum.query_features),
            ("key", weighted_sum.key, weighted_sum.key_features),
            ("value", weighted_sum.value, ()),
        )
        for role, entries, features in inputs:
            if entries is not None and (blocks := self._find_blocks(entries)) is not None:
                units = distinct_numbers(entries.numbers)
                is_ordered = not features or _are_neighbors(entries.numbers, features)
                yield entries.origin, self._part(role, blocks, len(units), is_ordered)
        for output in self.outputs:
            size = len(output.numbers)
            part = self._part("output", UnitBlocks(0, size, size), size, self._keeps_order(output))
            yield output.position, part

    def _part(
        self, role: AttentionRole, units: UnitBlocks, unit_count: int, is_ordered: bool
    ) -> AttentionPart:
        return AttentionPart(
            role=role,
            attention=self.number,
            head_dim=self.weighted_sum.head_dim,
            units=units,
            unit_count=unit_count,
            is_ordered=is_ordered,
            is_cross=self._is_cross,
        )

    def _keeps_order(self, output: AppliedKernel) -> bool:
        """Return whether an output kernel takes every unit of the values once, in their order."""
        value = self.weighted_sum.value
        return value is not None and np.array_equal(distinct_numbers(value.numbers), output.numbers)

    def _find_blocks(self, entries: Entries) -> UnitBlocks | None:
        """Return the units of a kernel as equal blocks at equal distances; None if they differ."""
        units, total = distinct_numbers(entries.numbers), self._unit_count(entries.origin)
        gaps = np.flatnonzero(np.diff(units) > 1)
        size = int(gaps[0]) + 1 if len(gaps) else len(units)
        period = int(units[size] - units[0]) if len(gaps) else total
        blocks = UnitBlocks(int(units[0]) % period, size, period)
        return blocks if np.array_equal(blocks.numbers(total), units) else None

    def _unit_count(self, position: int) -> int:
        """Return the number of all units of a kernel."""
        operation = self.graph.operations[position]
        axes = unit_axes(operation, 1 - self.products.signal_side(operation))
        return int(np.prod([operation.shapes[0][axis] for axis in axes]))

    @property
    def _is_cross(self) -> bool:
        """Whether the kernels of queries and keys are applied to different signals."""
        query, key = self.weighted_sum.query, self.weighted_sum.key
        if query is None or key is None:
            return False
        return self._signal(query.origin) != self._signal(key.origin)

    def _signal(self, position: int) -> Any:
        """Return the signal of a kernel, before casts and moves of its axes."""
        operation = self.graph.operations[position]
        value = operation.operands[self.products.signal_side(operation)]
        while (before := self.graph.producers.get(value)) is not None:
            is_move = before.name in AXIS_MOVES and before.name not in REDUCTIONS
            if before.name not in VALUE_PRESERVING and not is_move:
                break
            value = before.operands[0]
        return value


def _are_neighbors(numbers: np.ndarray, axes: Sequence[int]) -> bool:
    """Return whether the numbers along some axes follow each other, in any order."""
    return bool((np.diff(np.sort(entries_along(numbers, axes).ravel())) == 1).all())
