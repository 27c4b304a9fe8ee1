"""Many small programs at once: equal ones compiled once, several at a time, drawn as they come."""

import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.core import Tracer

from jinit.model import Graph


@dataclass(frozen=True)
class Program:
    """A function of arrays to one array; equal ones have equal names, shardings and arguments."""

    name: Hashable
    function: Callable[..., Array]
    sharding: Any = None

    def __hash__(self) -> int:
        return hash((self.name, self.sharding))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and (self.name, self.sharding) == (
            other.name,
            other.sharding,
        )


@dataclass(frozen=True)
class Call:
    """One use of a program."""

    program: Program
    arguments: tuple[Any, ...]


def run(calls: Sequence[Call]) -> list[Array]:
    """All results, in order: drawing begins while other programs are still being compiled."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves([c.arguments for c in calls])):
        return [_inline(call) for call in calls]
    members: dict[tuple[Program, Any], list[int]] = {}
    for number, call in enumerate(calls):
        members.setdefault((call.program, _kind(call.arguments)), []).append(number)
    results: list[Any] = [None] * len(calls)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: dict[Future, list[int]] = {}
        for (program, kind), numbers in members.items():
            waiting[pool.submit(_compiled, program, kind)] = numbers
        for ready in as_completed(waiting):
            compiled = ready.result()
            for number in waiting[ready]:
                results[number] = compiled(*calls[number].arguments)
    return results


def _inline(call: Call) -> Array:
    """A call inside a program that is being traced, such as a jitted or vmapped one."""
    result = call.program.function(*call.arguments)
    if call.program.sharding is None:
        return result
    return jax.lax.with_sharding_constraint(result, call.program.sharding)


@lru_cache(maxsize=1024)
def _compiled(program: Program, kind: Any) -> Callable[..., Array]:
    leaves, tree = kind
    arguments = jax.tree.unflatten(tree, leaves)
    traced = jax.jit(program.function, out_shardings=program.sharding).trace(*arguments)
    filled = _filled(Graph.within(traced.jaxpr).pruned())
    if filled is None:
        return traced.lower().compile()
    return lambda *_: jax.device_put(filled, program.sharding)


def _filled(graph: Graph) -> np.ndarray | None:
    """The array that a graph makes of one number, which needs no compilation; else None."""
    names = {operation.primitive.name for operation in graph.operations}
    numbers = [operand for operation in graph.operations for operand in operation.operands]
    literals = [operand for operand in numbers if not isinstance(operand, int)]
    if len(literals) != 1 or graph.constants or not names <= {"broadcast_in_dim", *_MOVED}:
        return None
    last = graph.operations[-1]
    return np.full(last.shapes[0], literals[0].val, last.dtypes[0])


_MOVED = ("reshape", "convert_element_type", "transpose", "reduce_precision")


def _kind(arguments: tuple[Any, ...]) -> Any:
    leaves, tree = jax.tree.flatten(arguments)
    return tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves), tree
