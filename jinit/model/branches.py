"""Residual branches: the kernels between a residual stream and the sum that adds their output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinit.model.graph import Graph
from jinit.model.operation import Place
from jinit.model.origins import set_bits
from jinit.model.residual_sums import FoundContraction, FoundSum, SumSearch
from jinit.model.sum_readers import dependent_operations, is_normalized
from jinit.model.uses import Scope, Site


@dataclass(frozen=True)
class Branch:
    """One residual branch, and the residual stream that it is added to."""

    number: int
    """Number of the branch, in execution order; a branch in a loop counts once."""
    stream: int
    """Number of the residual stream, in execution order."""
    branch_count: int
    """Number of branches added to the stream; one in a loop counts once per iteration."""
    is_normalized: bool
    """Whether the residual stream is normalized after each sum, before anything else reads it."""


@dataclass(frozen=True)
class Branches:
    """The residual sums of a computation and the branches that they add."""

    residual_streams: Mapping[Scope, Mapping[int, int]]
    """For every graph, maps the result of each residual sum to the operand that is the stream."""
    by_kernel: Mapping[tuple[Scope, int], Branch]
    """The branch of every kernel that is in one, by graph and position."""


def find_branches(sites: Sequence[Site]) -> Branches:
    """Find the sums of two signals of common origin that passed through different kernels.

    The signal that passed through fewer kernels since their last common origin is the residual
    stream: the branch's input itself, or a projection of it. It must be carried on: neither may
    another signal gate it, nor may its sum be only the argument of a gate. The kernels that only
    the other signal depends on form the branch. A kernel in nested branches belongs to the
    innermost.

    Args:
      sites: all uses of parameters in a computation, from `find_sites`.
    """
    search = SumSearch(sites)
    streams: dict[Scope, dict[int, int]] = {site.scope: {} for site in sites}
    for found in search.sums:
        streams.setdefault(found.scope, {})[found.operation.results[0]] = found.residual_stream
    return Branches(streams, _number_branches(sites, _assign_kernels(search), search.sums))


def _assign_kernels(search: SumSearch) -> dict[tuple[Scope, int], FoundSum]:
    """Return the sum to which each contraction in a branch belongs."""
    assigned: dict[tuple[Scope, int], FoundSum] = {}
    for found in search.sums:
        for origin in set_bits(found.contractions):
            contraction = search.contractions[origin]
            if _is_in_branch(contraction, found, search.sums):
                assigned.setdefault((contraction.scope, contraction.position), found)
    return assigned


def _is_in_branch(contraction: FoundContraction, found: FoundSum, sums: Sequence[FoundSum]) -> bool:
    """Return whether a contraction lies between a residual stream and a sum.

    One that does not depend on the stream, such as the keys of an encoder's outputs, must feed
    this branch only.
    """
    position = _position_within(contraction, found.scope)
    if position is None:
        return False
    if contraction.origins.depends_on(found.origin):
        return True
    sum_results = {each.operation.results[0]: each for each in sums if each.scope is found.scope}
    operation = found.scope.graph.operations[position]
    followed, met = dict.fromkeys(operation.results, True), []
    for user in dependent_operations(found.scope, followed):
        if user.results and user.results[0] in sum_results:
            met.append(sum_results[user.results[0]])
        else:
            followed |= dict.fromkeys(user.results, True)
    return met == [found]


def _position_within(contraction: FoundContraction, scope: Scope) -> int | None:
    """Return the position in a graph of the operation that contains a contraction, if any does."""
    position, inner = contraction.position, contraction.scope
    while inner is not scope:
        if inner.parent is None:
            return None
        position, inner = inner.place[-1], inner.parent
    return position


def _number_branches(
    sites: Sequence[Site],
    assigned: Mapping[tuple[Scope, int], FoundSum],
    sums: Sequence[FoundSum],
) -> dict[tuple[Scope, int], Branch]:
    counts: dict[int, int] = {}
    for found in sums:
        counts[found.stream] = counts.get(found.stream, 0) + found.count
    open_streams = {
        found.stream for found in sums if not is_normalized(found.scope, found.operation.results[0])
    }
    numbers: dict[FoundSum, int] = {}
    stream_numbers: dict[int, int] = {}
    branches = {}
    for site in sites:
        key = (site.scope, site.position)
        if key in assigned and site.use.role == "kernel":
            found = assigned[key]
            branches[key] = Branch(
                number=numbers.setdefault(found, len(numbers)),
                stream=stream_numbers.setdefault(found.stream, len(stream_numbers)),
                branch_count=counts[found.stream],
                is_normalized=found.stream not in open_streams,
            )
    return branches


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
    for found in SumSearch(sites).sums:
        lengths = graph.loop_lengths(found.scope.place)
        if lengths is not None and "complex" not in found.operation.dtypes[0]:
            operand = found.operation.operands.index(found.residual_stream)
            sums.append(ResidualSum((*found.scope.place, found.position), operand, lengths))
    return tuple(sorted(sums, key=lambda residual_sum: residual_sum.place))
