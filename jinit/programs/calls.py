"""Run many small programs; equal ones compile once, and some draw while others compile."""

import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import jax
from jax import Array
from jax.core import Tracer
from jax.sharding import Sharding

from jinit.model import PyTree
from jinit.programs.memory import (
    BUFFER_ARGUMENT,
    Fill,
    WindowFiller,
    empty_array,
    example_arguments,
    full_array,
)


@dataclass(frozen=True)
class Program:
    """A function of arrays to one array; equal programs have equal names and shardings."""

    name: Hashable
    function: Callable[..., Array] = field(compare=False)
    sharding: Sharding | None = None


@dataclass(frozen=True)
class Call:
    """One use of a program."""

    program: Program
    arguments: tuple[Any, ...]
    array_aval: jax.ShapeDtypeStruct | None = None
    """Shape and dtype of the whole array if the program draws several windows of it per call."""


@dataclass(frozen=True)
class ConstantArray:
    """An array with one known value, for which nothing is compiled."""

    number: Any
    aval: jax.ShapeDtypeStruct
    sharding: Sharding | None = None


@dataclass(eq=False)
class CompilationCounter:
    """Number of programs that were compiled."""

    count: int = 0


_COUNTERS: list[CompilationCounter] = []


@contextmanager
def count_compilations() -> Iterator[CompilationCounter]:
    """Count the programs that `init` and `fast_init` compile, for tests.

    All compiled programs are forgotten first, so that the count does not depend on earlier calls.

    Yields:
      A counter whose `count` is the number of programs compiled so far.

    >>> import jax, jinit
    >>> draw = jinit.fast_init(lambda key: [jax.random.normal(key, (8, 3)) for _ in range(4)])
    >>> with count_compilations() as compilations:
    ...     arrays = draw(jax.random.key(0))
    >>> compilations.count
    1
    """
    counter = CompilationCounter()
    _compile_program.cache_clear()
    _COUNTERS.append(counter)
    try:
        yield counter
    finally:
        _COUNTERS.remove(counter)


def run_calls(calls: Iterable[Call | ConstantArray]) -> list[Array]:
    """Return the results of calls, in order.

    Programs compile while later calls are constructed, and draw while other programs compile.
    """
    waiting: dict[Future, dict[int, Call]] = {}
    submitted_calls = []
    for number, call in enumerate(calls):
        submitted_calls.append(call)
        if isinstance(call, Call):
            waiting.setdefault(compile_call(call), {})[number] = call
    results: dict[int, Any] = {}
    draws: list[Future] = []
    filler = WindowFiller()
    try:
        for future in as_completed(waiting):
            fills = _begin_calls(future.result(), waiting[future], results)
            draws += filler.begin_fills(future.result(), fills)
    except Exception:
        _compile_program.cache_clear()  # so that the next attempt recompiles
        raise
    for draw in draws:
        draw.result()
    for number, call in enumerate(submitted_calls):
        if isinstance(call, ConstantArray):
            results[number] = full_array(call.number, call.aval, call.sharding)
    return jax.device_put([results[number] for number in range(len(submitted_calls))])


def _begin_calls(
    compiled: Callable[..., Array], calls: dict[int, Call], results: dict[int, Any]
) -> list[Fill]:
    """Store the results of the calls of one program, by number, and return the arrays to fill."""
    fills = []
    for number, call in calls.items():
        if call.array_aval is None:
            results[number] = compiled(*call.arguments)
        else:
            results[number] = empty_array(call.array_aval)
            fills.append(Fill(call.arguments, results[number].reshape(-1)))
    return fills


def is_traced(tree: PyTree) -> bool:
    """Return whether a tree contains a tracer."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def compile_call(call: Call) -> Future:
    """Return the future of the compiled program of a call; equal programs share one."""
    arguments, donated = call.arguments, ()
    if call.array_aval is not None:
        arguments = example_arguments(call.arguments, call.array_aval.dtype)
        donated = (BUFFER_ARGUMENT,)
    leaves, tree = jax.tree.flatten(arguments)
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    return _compile_program(call.program, shapes, tree, donated, jax_settings())


def jax_settings() -> tuple[Any, ...]:
    """Return the settings of JAX on which a trace or a program depends."""
    return (
        jax.dtypes.canonicalize_dtype(float),
        getattr(jax.config, "jax_default_device", None),
        getattr(jax.config, "jax_threefry_partitionable", None),
        jax.sharding.get_abstract_mesh(),
    )


@lru_cache(maxsize=1024)
def _compile_program(
    program: Program,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    tree: Any,
    donated_arguments: tuple[int, ...],
    settings: tuple[Any, ...],
) -> Future:
    """Trace a program here, where JAX's settings hold, and compile it in another thread."""
    del settings  # part of the cache's key
    for counter in _COUNTERS:
        counter.count += 1
    arguments = jax.tree.unflatten(tree, shapes)
    options: dict[str, Any] = {
        "out_shardings": program.sharding,
        "donate_argnums": donated_arguments,
    }
    traced = jax.jit(program.function, **options).trace(*arguments)
    return _compiler_threads().submit(traced.lower().compile)


@cache
def _compiler_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="jinit-compile")
