"""Loops, branches and device-local programs: what comes out of them, given what goes in."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from jinit.model.flow import Axis, Weight
from jinit.model.graph import Graph, Operation, bodies
from jinit.model.values import Value


class Walk(Protocol):
    """Carries what is known of values through a graph."""

    def through(self, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
        """Values of the outputs; uses of parameters are noted."""
        ...

    def probe(self, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
        """Values of the outputs only."""
        ...

    def body(self, closed: Any) -> Graph:
        """The graph of a computation inside the operation that the walk is at."""
        ...


def entered(walk: Walk, operation: Operation, operands: Sequence[Value]) -> list[Value] | None:
    """The results of an operation that has bodies, by a walk through them; None of any other."""
    enter = _ENTRANCES.get(operation.name)
    if enter is None:
        return None
    return enter(walk, operation, [value.inside() for value in operands])


@dataclass(frozen=True)
class Scan:
    """A loop over the leading axis of its last operands."""

    body: Graph
    fixed: int
    """Operands that every round sees alike; they come first."""
    carried: int
    """Operands that a round hands on to the next; they come second, and first in the results."""

    @classmethod
    def of(cls, operation: Operation, flatten: Callable[[Any], Graph]) -> Self:
        """Told by their ranks: what is stacked has one axis more outside than inside."""
        (closed,) = bodies(operation.params)
        inside, outside = closed.jaxpr.invars, operation.operand_shapes
        stacked = sum(
            len(shape) > len(var.aval.shape) for shape, var in zip(outside, inside, strict=True)
        )
        carried = sum(
            len(shape) == len(getattr(var.aval, "shape", ()))
            for shape, var in zip(operation.shapes, closed.jaxpr.outvars, strict=True)
        )
        return cls(flatten(closed), len(inside) - stacked - carried, carried)


def _scan(walk: Walk, operation: Operation, operands: list[Value]) -> list[Value]:
    scan = Scan.of(operation, walk.body)
    body, carried, first = scan.body, scan.carried, scan.fixed + scan.carried
    fixed, carry, stacked = operands[: scan.fixed], operands[scan.fixed : first], operands[first:]
    steps = [_mapped(value, lambda axes: axes[1:]) for value in stacked]
    results = _looped(walk, body, fixed, carry, steps)
    return results[:carried] + [
        _mapped(value, lambda axes: ((), *axes)) for value in results[carried:]
    ]


def _while(walk: Walk, operation: Operation, operands: list[Value]) -> list[Value]:
    params = operation.params
    first, second = params["cond_nconsts"], params["body_nconsts"]
    fixed, carry = operands[first : first + second], operands[first + second :]
    (body,) = bodies({"body": params["body_jaxpr"]})
    return _looped(walk, walk.body(body), fixed, carry, [])


def _looped(
    walk: Walk, body: Graph, fixed: list[Value], carry: list[Value], steps: list[Value]
) -> list[Value]:
    """What is carried becomes what every round can make of it; then the body is walked once."""
    while True:
        after = walk.probe(body, fixed + carry + steps)[: len(carry)]
        wider = [old.joined(new) for old, new in zip(carry, after, strict=True)]
        if wider == carry:
            return walk.through(body, fixed + carry + steps)
        carry = wider


def _cond(walk: Walk, operation: Operation, operands: list[Value]) -> list[Value]:
    branches = [walk.through(walk.body(body), operands[1:]) for body in bodies(operation.params)]
    joined, *others = branches
    for branch in others:
        joined = [left.joined(right) for left, right in zip(joined, branch, strict=True)]
    return [value.inside() for value in joined]


def _shard_map(walk: Walk, operation: Operation, operands: list[Value]) -> list[Value]:
    params = operation.params
    (body,) = bodies(params)
    sizes = dict(params["mesh"].shape)

    def local(value: Value, spec: Any) -> Value:
        return _mapped(value, lambda axes: tuple(_split(axes, spec, sizes)))

    inside = [local(value, spec) for value, spec in zip(operands, params["in_specs"], strict=True)]
    results = walk.through(walk.body(body), inside)
    return [
        Value(tuple(weight.mixed() for weight in value.weights), value.signal) for value in results
    ]


def _split(axes: tuple[Axis, ...], spec: Any, sizes: dict[str, int]) -> list[Axis]:
    named = list(spec) + [None] * (len(axes) - len(spec))
    return [_parted(axis, _devices(name, sizes)) for axis, name in zip(axes, named, strict=True)]


def _devices(name: Any, sizes: dict[str, int]) -> int:
    names = name if isinstance(name, tuple) else () if name is None else (name,)
    return math.prod(sizes[each] for each in names)


def _parted(axis: Axis, devices: int) -> Axis:
    if not axis or devices == 1:
        return axis
    first, *others = axis
    return (replace(first, size=first.size // devices, devices=devices), *others)


def _mapped(value: Value, change: Callable[[tuple[Axis, ...]], tuple[Axis, ...]]) -> Value:
    def changed(weight: Weight) -> Weight:
        return weight if weight.axes is None else weight.laid(change(weight.axes))

    return replace(value, weights=tuple(map(changed, value.weights)))


_ENTRANCES = {"scan": _scan, "while": _while, "cond": _cond, "shard_map": _shard_map}
