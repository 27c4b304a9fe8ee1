"""Residual branches: kernels between a stream and the sum that adds what they make to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinit.model.graph import CONTRACTING, Graph, Operation
from jinit.model.primitives import SUMS
from jinit.model.values import Value
from jinit.model.walk import Site


@dataclass(frozen=True)
class Branches:
    """The residual sums of one graph."""

    streams: Mapping[int, int]
    """Result of every sum of a stream and a branch, with the operand that is the stream."""
    numbers: Mapping[int, int]
    """Position of every contraction inside a branch, with the branch's number."""


@dataclass(frozen=True)
class _Reach:
    """How a value hangs together with others."""

    origins: int = 0
    """Bits of the contractions and sources it depends on through floating-point values."""
    kernels: int = 0
    """The least number of kernels on a way to it."""


def branches_of(graph: Graph, values: Mapping[int, Value]) -> Branches:
    """Sums of two signals with a common origin, one of which has come past more kernels.

    What has come past fewer kernels is the stream: the branch's input itself, or a projection of
    it. Kernels that only the other one depends on are the branch; of nested ones, the innermost.
    """
    reach, bits, streams, numbers = _reaches(graph, values), _bits(graph), {}, {}
    for operation in graph.operations:
        signals = {o for o in operation.operands if isinstance(o, int) and o in reach}
        if operation.primitive.name not in SUMS or len(signals) != 2:
            continue
        stream, branch = sorted(signals, key=lambda value: reach[value].kernels)
        short, long = reach[stream], reach[branch]
        if short.kernels == long.kernels or not short.origins & long.origins:
            continue
        streams[operation.results[0]] = stream
        own = long.origins & ~short.origins
        for position in (position for position, bit in bits.items() if own >> bit & 1):
            numbers.setdefault(position, len(streams) - 1)
    return Branches(streams, numbers)


def numbered(sites: Sequence[Site], found: Mapping[int, Branches]) -> list[int | None]:
    """Of every site, the number of the branch it lies in, in execution order of the whole."""
    order: dict[tuple[int, int], int] = {}
    numbers: list[int | None] = []
    for site in sites:
        local = found[id(site.values)].numbers.get(site.position)
        known = local is not None and site.use.kind == "kernel"
        label = (id(site.values), local or 0)
        numbers.append(order.setdefault(label, len(order)) if known else None)
    return numbers


def _bits(graph: Graph) -> dict[int, int]:
    """A bit for every contraction, by position."""
    positions = [
        position
        for position, operation in enumerate(graph.operations)
        if operation.primitive.name in CONTRACTING
    ]
    return {position: bit for bit, position in enumerate(positions)}


def _reaches(graph: Graph, values: Mapping[int, Value]) -> dict[int, _Reach]:
    """Of every signal of floating-point numbers."""
    bits = _bits(graph)
    sources = iter(range(len(bits), len(bits) + len(graph.inputs) + len(graph.operations)))
    reach = {
        name: _Reach(1 << next(sources))
        for name, aval in zip(graph.inputs, graph.avals, strict=True)
        if values[name].signal and _is_float(str(aval.dtype))
    }
    for position, operation in enumerate(graph.operations):
        before = [reach[o] for o in operation.operands if isinstance(o, int) and o in reach]
        own = 1 << bits[position] if position in bits else 0 if before else 1 << next(sources)
        after = _Reach(
            own | _union(each.origins for each in before),
            min((each.kernels for each in before), default=0) + _has_kernel(operation, values),
        )
        for result, dtype in zip(operation.results, operation.dtypes, strict=True):
            if values[result].signal and _is_float(dtype):
                reach[result] = after
    return reach


def _has_kernel(operation: Operation, values: Mapping[int, Value]) -> bool:
    return operation.primitive.name in CONTRACTING and any(
        isinstance(o, int) and bool(values[o].weights) for o in operation.operands
    )


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _is_float(dtype: Any) -> bool:
    return "float" in str(dtype)
