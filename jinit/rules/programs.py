"""Many small programs at once: equal ones compiled once, several at a time, drawn as they come."""

import os
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import jax
from jax import Array
from jax.core import Tracer

from jinit.rules.memory import BUFFER, Fill, Filling, empty, example, filled


@dataclass(frozen=True)
class Program:
    """A function of arrays to one array; equal ones have equal names, shardings and arguments."""

    name: Hashable
    function: Callable[..., Array] = field(compare=False)
    sharding: Any = None


@dataclass(frozen=True)
class Call:
    """One use of a program."""

    program: Program
    arguments: tuple[Any, ...]
    whole: jax.ShapeDtypeStruct | None = None
    """What is drawn, if the program draws windows of it, several at a time."""


@dataclass(frozen=True)
class Constant:
    """An array of one known number, for which nothing is compiled."""

    number: Any
    whole: jax.ShapeDtypeStruct
    sharding: Any = None


def run(calls: Iterable[Call | Constant]) -> list[Array]:
    """All results, in order: compiling begins while other calls are still being made up, and
    drawing while other programs are still being compiled."""
    waiting: dict[Future, dict[int, Call]] = {}
    every = []
    for number, call in enumerate(calls):
        every.append(call)
        if isinstance(call, Call):
            waiting.setdefault(_compiling(call), {})[number] = call
    results: dict[int, Any] = {}
    drawing: list[Future] = []
    filling = Filling()
    try:
        for ready in as_completed(waiting):
            fills = _begun(ready.result(), waiting[ready], results)
            drawing += filling.begin(ready.result(), fills)
    except Exception:
        submitted.cache_clear()  # the next attempt shall compile anew
        raise
    for each in drawing:
        each.result()
    for number, call in enumerate(every):
        if isinstance(call, Constant):
            results[number] = filled(call.number, call.whole, call.sharding)
    return jax.device_put([results[number] for number in range(len(every))])


def _begun(
    compiled: Callable[..., Array], calls: dict[int, Call], results: dict[int, Any]
) -> list[Fill]:
    """Note the results of calls of one program, by number, and return what is to be filled."""
    fills = []
    for number, call in calls.items():
        if call.whole is None:
            results[number] = compiled(*call.arguments)
        else:
            results[number] = empty(call.whole)
            fills.append((call.arguments, results[number].reshape(-1)))
    return fills


def is_traced(tree: Any) -> bool:
    """Whether there is a value in it that only a program under construction knows."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def _compiling(call: Call) -> Future:
    """The program of a call on its way, or compiled before."""
    arguments, donated = call.arguments, ()
    if call.whole is not None:
        arguments, donated = example(call.arguments, call.whole.dtype), (BUFFER,)
    leaves, tree = jax.tree.flatten(arguments)
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    return submitted(call.program, shapes, tree, donated, settings())


def settings() -> tuple[Any, ...]:
    """JAX's settings on which a trace or a program depends."""
    return (
        jax.dtypes.canonicalize_dtype(float),
        getattr(jax.config, "jax_default_device", None),
        getattr(jax.config, "jax_threefry_partitionable", None),
        jax.sharding.get_abstract_mesh(),
    )


@lru_cache(maxsize=1024)
def submitted(
    program: Program, shapes: tuple[Any, ...], tree: Any, donated: tuple[int, ...], settings: Any
) -> Future:
    """A program handed to the compiler's threads; traced here, where JAX's settings hold."""
    del settings
    arguments = jax.tree.unflatten(tree, shapes)
    options: dict[str, Any] = {"out_shardings": program.sharding, "donate_argnums": donated}
    traced = jax.jit(program.function, **options).trace(*arguments)
    return _pool().submit(traced.lower().compile)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="jinit-compile")
