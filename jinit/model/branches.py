"""Residual branches: the kernels between a residual stream and the sum that adds their output."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jinit.model.graph import Graph
from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation, Place, value_numbers
from jinit.model.primitives import SUMS
from jinit.model.uses import Scope, Site


@dataclass(frozen=True)
class Branches:
    """The residual sums of one graph."""

    residual_streams: dict[int, int] = field(default_factory=dict)
    """Maps the result of every residual sum to the operand that is the residual stream."""
    branch_numbers: dict[int, int] = field(default_factory=dict)
    """Maps the position of every contraction inside a branch to the branch's number."""


@dataclass(frozen=True)
class _Dependencies:
    """The contractions, sources and kernels that a value depends on."""

    origins: int = 0
    """Bit mask of the contractions and sources it depends on through floating-point values."""
    fewest_kernels: int = 0
    """Fewest kernels on any path to it."""


def find_branches(scope: Scope) -> Branches:
    """Find the sums of two signals of common origin that passed through different kernels.

    The signal that passed through fewer kernels is the residual stream: the branch's input itself,
    or a projection of it. The kernels that only the other signal depends on form the branch. A
    kernel in nested branches belongs to the innermost.
    """
    dependencies, bits = _find_dependencies(scope), _contraction_bits(scope.graph)
    branches = Branches()
    for operation in scope.graph.operations:
        signals = {value for value in value_numbers(operation.operands) if value in dependencies}
        if operation.primitive.name not in SUMS or len(signals) != 2:
            continue
        residual_stream, branch = sorted(
            signals, key=lambda value: dependencies[value].fewest_kernels
        )
        short, long = dependencies[residual_stream], dependencies[branch]
        if short.fewest_kernels == long.fewest_kernels or not short.origins & long.origins:
            continue
        branches.residual_streams[operation.results[0]] = residual_stream
        number = len(branches.residual_streams) - 1
        only_branch = long.origins & ~short.origins
        for position, bit in bits.items():
            if only_branch >> bit & 1:
                branches.branch_numbers.setdefault(position, number)
    return branches


def number_branches(sites: Sequence[Site], branches: Mapping[Scope, Branches]) -> list[int | None]:
    """Return the number of the branch of every site, counted over all graphs in execution order.

    None where a site is not a kernel in a branch.
    """
    order: dict[tuple[Scope, int], int] = {}
    numbers: list[int | None] = []
    for site in sites:
        local = branches[site.scope].branch_numbers.get(site.position)
        if local is None or site.use.role != "kernel":
            numbers.append(None)
        else:
            numbers.append(order.setdefault((site.scope, local), len(order)))
    return numbers


def _contraction_bits(graph: Graph) -> dict[int, int]:
    """Return a bit number for the position of every contraction."""
    positions = [
        position
        for position, operation in enumerate(graph.operations)
        if operation.primitive.name in CONTRACTION_PRIMITIVES
    ]
    return {position: bit for bit, position in enumerate(positions)}


def _find_dependencies(scope: Scope) -> dict[int, _Dependencies]:
    """Return the dependencies of every floating-point signal."""
    graph, bits = scope.graph, _contraction_bits(scope.graph)
    sources = iter(range(len(bits), len(bits) + len(graph.inputs) + len(graph.operations)))
    dependencies = {
        name: _Dependencies(1 << next(sources))
        for name, aval in zip(graph.inputs, graph.avals, strict=True)
        if scope.is_signal(name) and _is_float(str(aval.dtype))
    }
    for position, operation in enumerate(graph.operations):
        values = value_numbers(operation.operands)
        before = [dependencies[value] for value in values if value in dependencies]
        own_bit = 0
        if position in bits:
            own_bit = 1 << bits[position]
        elif not before:
            own_bit = 1 << next(sources)
        fewest = min((operand.fewest_kernels for operand in before), default=0)
        after = _Dependencies(
            origins=own_bit | _union(operand.origins for operand in before),
            fewest_kernels=fewest + _has_kernel(operation, scope),
        )
        for result, dtype in zip(operation.results, operation.dtypes, strict=True):
            if scope.is_signal(result) and _is_float(dtype):
                dependencies[result] = after
    return dependencies


def _has_kernel(operation: Operation, scope: Scope) -> bool:
    return operation.primitive.name in CONTRACTION_PRIMITIVES and any(
        scope.values[value].weights for value in value_numbers(operation.operands)
    )


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _is_float(dtype: str) -> bool:
    return "float" in dtype


@dataclass(frozen=True)
class ResidualSum:
    """One sum of a residual stream and the output of a branch."""

    place: Place
    stream_operand: int
    """Index of the operand that is the residual stream: 0 or 1."""
    loop_lengths: tuple[int, ...] = ()
    """Trip counts of the enclosing loops."""


def find_residual_sums(graph: Graph, sites: Sequence[Site]) -> tuple[ResidualSum, ...]:
    """Return the residual sums of a graph and of its loops over stacked operands.

    Args:
      graph: the computation.
      sites: all uses of parameters in it, from `find_sites`.

    Returns:
      The sums in execution order.
    """
    sums = []
    for place, scope in {site.scope.place: site.scope for site in sites}.items():
        lengths = graph.loop_lengths(place)
        if lengths is None:
            continue
        residual_streams = find_branches(scope).residual_streams
        for position, operation in enumerate(scope.graph.operations):
            if operation.results and operation.results[0] in residual_streams:
                operand = operation.operands.index(residual_streams[operation.results[0]])
                sums.append(ResidualSum((*place, position), operand, lengths))
    return tuple(sorted(sums, key=lambda residual_sum: residual_sum.place))
