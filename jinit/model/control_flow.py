"""Control-flow primitives: known values propagated through loops, branches and shard_map."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from jinit.model.graph import Graph
from jinit.model.known_values import KnownValue
from jinit.model.operation import Operation, bodies
from jinit.model.weight_axes import Segments, TrackedWeight


class _ValueWalk(Protocol):
    """A pass over graphs that propagates known values; `uses.py` has the implementation.

    This is a protocol because the walk calls `enter_bodies`, and `enter_bodies` calls the walk.
    """

    def follow(self, graph: Graph, inputs: Sequence[KnownValue]) -> list[KnownValue]:
        """Return the known values of the outputs and note the uses of parameters."""
        ...

    def preview(self, graph: Graph, inputs: Sequence[KnownValue]) -> list[KnownValue]:
        """Return the known values of the outputs without noting uses."""
        ...

    def body(self, closed: Any) -> Graph:
        """Return the graph of a computation inside the current operation."""
        ...


def enter_bodies(
    walk: _ValueWalk, operation: Operation, operands: Sequence[KnownValue]
) -> list[KnownValue]:
    """Return the known results of an operation of `CONTROL_FLOW`."""
    enter = CONTROL_FLOW[operation.name]
    return enter(walk, operation, [value.forget_uses() for value in operands])


@dataclass(frozen=True)
class Scan:
    """A loop over the leading axis of its last operands.

    >>> import jax, jax.numpy as jnp
    >>> def function(carry, stacked):
    ...     return jax.lax.scan(lambda total, x: (total + x, total), carry, stacked)
    >>> graph = Graph.from_function(function, 0.0, jnp.ones(3))
    >>> scan = Scan.from_operation(graph.operations[0], graph.flatten_body)
    >>> scan.constant_count, scan.carry_count
    (0, 1)
    """

    body: Graph
    constant_count: int
    """Number of operands that are the same in every iteration; they come first."""
    carry_count: int
    """Number of operands carried from one iteration to the next; they come second, and first in
    the results."""

    @classmethod
    def from_operation(cls, operation: Operation, flatten: Callable[[Any], Graph]) -> Self:
        """Read a `scan`; the counts are inferred from ranks.

        A stacked operand has one more axis outside the body than inside.

        Args:
          operation: the loop.
          flatten: function that returns the graph of the body.
        """
        (closed,) = bodies(operation.params)
        inner, outer_shapes = closed.jaxpr.invars, operation.operand_shapes
        stacked = sum(
            len(shape) > len(var.aval.shape) for shape, var in zip(outer_shapes, inner, strict=True)
        )
        carried = sum(
            len(shape) == len(getattr(var.aval, "shape", ()))
            for shape, var in zip(operation.shapes, closed.jaxpr.outvars, strict=True)
        )
        return cls(flatten(closed), len(inner) - stacked - carried, carried)


def carried_inputs(operation: Operation, body: Graph) -> range:
    """Return which inputs of a body are carried from one iteration to the next, first carry first.

    The outputs of the body begin with the carried values. The range is empty if the operation is
    not a loop.

    Args:
      operation: the operation that contains the body.
      body: the graph of the body.
    """
    if operation.name == "scan":
        scan = Scan.from_operation(operation, lambda _: body)
        return range(scan.constant_count, scan.constant_count + scan.carry_count)
    if operation.name == "while":
        return range(operation.params["body_nconsts"], len(body.inputs))
    return range(0)


def trip_count(operation: Operation) -> int:
    """Return the number of iterations of a loop; 1 if it is not known."""
    return operation.params["length"] if operation.name == "scan" else 1


def _scan(walk: _ValueWalk, operation: Operation, operands: list[KnownValue]) -> list[KnownValue]:
    scan = Scan.from_operation(operation, walk.body)
    first_stacked = scan.constant_count + scan.carry_count
    constants = operands[: scan.constant_count]
    carry = operands[scan.constant_count : first_stacked]
    slices = [_map_axes(value, lambda axes: axes[1:]) for value in operands[first_stacked:]]
    results = _walk_loop(walk, scan.body, constants, carry, slices)
    return results[: scan.carry_count] + [
        _map_axes(value, lambda axes: ((), *axes)) for value in results[scan.carry_count :]
    ]


def _while(walk: _ValueWalk, operation: Operation, operands: list[KnownValue]) -> list[KnownValue]:
    params = operation.params
    first, second = params["cond_nconsts"], params["body_nconsts"]
    constants, carry = operands[first : first + second], operands[first + second :]
    (body,) = bodies({"body": params["body_jaxpr"]})
    return _walk_loop(walk, walk.body(body), constants, carry, [])


def _walk_loop(
    walk: _ValueWalk,
    body: Graph,
    constants: list[KnownValue],
    carry: list[KnownValue],
    slices: list[KnownValue],
) -> list[KnownValue]:
    """Iterate the carry to a fixed point, then walk the body once."""
    carry = [replace(value, read_constant=None) for value in carry]
    while True:
        after = walk.preview(body, constants + carry + slices)[: len(carry)]
        joined = [old.join(new) for old, new in zip(carry, after, strict=True)]
        if joined == carry:
            return walk.follow(body, constants + carry + slices)
        carry = joined


def _cond(walk: _ValueWalk, operation: Operation, operands: list[KnownValue]) -> list[KnownValue]:
    branches = [walk.follow(walk.body(body), operands[1:]) for body in bodies(operation.params)]
    joined, *others = branches
    for branch in others:
        joined = [left.join(right) for left, right in zip(joined, branch, strict=True)]
    return [value.forget_uses() for value in joined]


def _shard_map(
    walk: _ValueWalk, operation: Operation, operands: list[KnownValue]
) -> list[KnownValue]:
    params = operation.params
    (body,) = bodies(params)
    sizes = dict(params["mesh"].shape)

    def to_local(value: KnownValue, spec: Any) -> KnownValue:
        return _map_axes(value, lambda axes: tuple(_split_axes(axes, spec, sizes)))

    inputs = [
        to_local(value, spec) for value, spec in zip(operands, params["in_specs"], strict=True)
    ]
    results = walk.follow(walk.body(body), inputs)
    return [
        KnownValue(tuple(weight.forget_axes() for weight in value.weights), value.is_signal)
        for value in results
    ]


def _split_axes(axes: tuple[Segments, ...], spec: Any, sizes: dict[str, int]) -> list[Segments]:
    mesh_axes = list(spec) + [None] * (len(axes) - len(spec))
    return [
        _split_axis(axis, _device_count(name, sizes))
        for axis, name in zip(axes, mesh_axes, strict=True)
    ]


def _device_count(name: Any, sizes: dict[str, int]) -> int:
    names = name if isinstance(name, tuple) else () if name is None else (name,)
    return math.prod(sizes[name] for name in names)


def _split_axis(axis: Segments, devices: int) -> Segments:
    if not axis or devices == 1:
        return axis
    first, *others = axis
    return (replace(first, size=first.size // devices, devices=devices), *others)


def _map_axes(
    value: KnownValue, change: Callable[[tuple[Segments, ...]], tuple[Segments, ...]]
) -> KnownValue:
    def change_weight(weight: TrackedWeight) -> TrackedWeight:
        return weight if weight.axes is None else weight.replace_axes(change(weight.axes))

    return replace(value, weights=tuple(map(change_weight, value.weights)))


CONTROL_FLOW = {"scan": _scan, "while": _while, "cond": _cond, "shard_map": _shard_map}
