"""Many small programs at once: equal ones compiled once, several at a time, drawn as they come."""

import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import jax
from jax import Array
from jax.core import Tracer

from jinit.rules.memory import empty, example, fill, filled


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
    number: Any = None
    """What all entries of `whole` are, if that is known; then nothing is compiled."""


def run(calls: Sequence[Call]) -> list[Array]:
    """All results, in order: drawing begins while other programs are still being compiled."""
    waiting: dict[Future, list[int]] = {}
    for number, call in enumerate(calls):
        if call.number is None:
            waiting.setdefault(_compiling(call), []).append(number)
    results: dict[int, Any] = {}
    drawing: list[Future] = []
    try:
        for ready in as_completed(waiting):
            drawing += _begin(ready.result(), calls, waiting[ready], results)
    except Exception:
        submitted.cache_clear()  # the next attempt shall compile anew
        raise
    for each in drawing:
        each.result()
    return [
        jax.device_put(results[number])
        if call.number is None
        else filled(call.number, call.whole, call.program.sharding)
        for number, call in enumerate(calls)
    ]


def _begin(
    compiled: Callable[..., Array], calls: Sequence[Call], which: list[int], results: dict[int, Any]
) -> list[Future]:
    """Note the results of these calls, all of one program, and return what fills them."""
    if calls[which[0]].whole is None:
        results.update({number: compiled(*calls[number].arguments) for number in which})
        return []
    arrays = {number: empty(calls[number].whole) for number in which}
    results.update(arrays)
    return fill(compiled, [(calls[n].arguments, arrays[n].reshape(-1)) for n in which])


def is_traced(tree: Any) -> bool:
    """Whether there is a value in it that only a program under construction knows."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def _compiling(call: Call) -> Future:
    """The program of a call on its way, or compiled before."""
    arguments = call.arguments if call.whole is None else example(call.arguments)
    leaves, tree = jax.tree.flatten(arguments)
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    settings = (
        jax.dtypes.canonicalize_dtype(float),
        getattr(jax.config, "jax_default_device", None),
        getattr(jax.config, "jax_threefry_partitionable", None),
    )
    return submitted(call.program, shapes, tree, settings)


@lru_cache(maxsize=1024)
def submitted(program: Program, shapes: tuple[Any, ...], tree: Any, settings: Any) -> Future:
    """A program handed to the compiler's threads; traced here, where JAX's settings hold."""
    del settings
    arguments = jax.tree.unflatten(tree, shapes)
    traced = jax.jit(program.function, out_shardings=program.sharding).trace(*arguments)
    return _pool().submit(traced.lower().compile)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="jinit-compile")
