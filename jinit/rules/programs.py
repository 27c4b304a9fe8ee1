"""Many small programs at once: equal ones compiled once, several at a time, drawn as they come."""

import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, lru_cache
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
    waiting: dict[Future, list[int]] = {}
    for number, call in enumerate(calls):
        waiting.setdefault(_compiling(call), []).append(number)
    results: list[Any] = [None] * len(calls)
    for ready in as_completed(waiting):
        compiled = ready.result()
        for number in waiting[ready]:
            results[number] = compiled(*calls[number].arguments)
    return results


def _compiling(call: Call) -> Future:
    """The program of a call on its way, or compiled before."""
    leaves, tree = jax.tree.flatten(call.arguments)
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    settings = jax.dtypes.canonicalize_dtype(float), getattr(jax.config, "jax_default_device", None)
    return submitted(call.program, shapes, tree, settings)


def _inline(call: Call) -> Array:
    """A call inside a program that is being traced, such as a jitted or vmapped one."""
    result = call.program.function(*call.arguments)
    if call.program.sharding is None:
        return result
    return jax.lax.with_sharding_constraint(result, call.program.sharding)


@lru_cache(maxsize=1024)
def submitted(program: Program, shapes: tuple[Any, ...], tree: Any, settings: Any) -> Future:
    """A program handed to the compiler's threads; traced here, where JAX's settings hold."""
    del settings
    arguments = jax.tree.unflatten(tree, shapes)
    traced = jax.jit(program.function, out_shardings=program.sharding).trace(*arguments)
    filled = _filled(Graph.within(traced.jaxpr).pruned())
    if filled is None:
        return _pool().submit(traced.lower().compile)
    future: Future = Future()
    future.set_result(lambda *_: jax.device_put(filled, program.sharding))
    return future


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="jinit-compile")


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
