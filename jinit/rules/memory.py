"""Arrays in the host's memory, filled by several threads, a few windows of entries at a time."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import jax
import numpy as np
from jax import Array, lax

from jinit.rules.windows import SIZE

Fill = tuple[Any, np.ndarray]
"""Arguments of a program for one window, and all entries that are to be drawn."""

_ROUND = 16
"""Windows that are drawn by one call, so that calling costs little beside drawing."""
_ALIGNMENT = 64
"""Bytes; at such addresses JAX takes an array of NumPy's as it is, without a copy."""


def is_host(sharding: Any) -> bool:
    """Whether an array of this sharding, None for no particular one, lies in the host's memory."""
    if sharding is not None:
        return False
    device = getattr(jax.config, "jax_default_device", None) or jax.default_backend()
    return getattr(device, "platform", device) == "cpu"


def round_of(window: Callable[..., Array]) -> Callable[..., Array]:
    """A program for several windows: of stacked arguments and starts, and how many there are."""

    def program(arguments: Any, starts: Array, count: Array) -> Array:
        def draw(place: Array, rows: Array) -> Array:
            inputs, start = jax.tree.map(lambda leaf: leaf[place], (arguments, starts))
            return rows.at[place].set(window(*inputs, start))

        first = jax.tree.map(lambda leaf: leaf[0], arguments)
        dtype = jax.eval_shape(window, *first, starts[0]).dtype
        return lax.fori_loop(0, count, draw, jax.numpy.zeros((_ROUND, SIZE), dtype))

    return program


def example(arguments: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """What the program for several windows takes, given the arguments of one."""
    stacked = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (_ROUND, *leaf.shape)), arguments)
    return stacked, np.zeros(_ROUND, np.uint32), np.zeros((), np.int32)


def fill(program: Callable[..., Array], fills: Sequence[Fill]) -> list[Future]:
    """Begin to draw arrays by a program for several windows; they are there when all futures are.

    Each future belongs to a thread of its own; JAX's settings hold in the calling one only, which
    is why arguments become JAX's arrays here.
    """
    futures, every = [], list(_windows(fills))
    for first in range(0, len(every), _ROUND):
        windows = every[first : first + _ROUND]
        padded = [*windows, *[windows[0]] * (_ROUND - len(windows))]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *[fills[i][0] for i, _ in padded])
        starts = np.array([start for _, start in padded], np.uint32)
        arguments = jax.device_put((stacked, starts, np.int32(len(windows))))
        futures.append(_pool().submit(_draw, partial(program, *arguments), fills, windows))
    return futures


def _windows(fills: Sequence[Fill]) -> Iterator[tuple[int, int]]:
    """Every window: of which array, and the entry that it begins with."""
    for number, (_, entries) in enumerate(fills):
        yield from ((number, start) for start in range(0, entries.size, SIZE))


def _draw(
    program: Callable[[], Array], fills: Sequence[Fill], windows: Sequence[tuple[int, int]]
) -> None:
    rows = np.asarray(program())
    for row, (number, start) in zip(rows, windows, strict=False):
        window = fills[number][1][start : start + SIZE]
        window[:] = row[: window.size]


def filled(number: Any, whole: jax.ShapeDtypeStruct, sharding: Any = None) -> Array:
    """An array of one number; of a sharded one, each device holds its part only."""
    if sharding is None:
        array = empty(whole)
        array[...] = number
        return jax.device_put(array)
    part = np.full(sharding.shard_shape(whole.shape), number, whole.dtype)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: part)


def empty(whole: jax.ShapeDtypeStruct) -> np.ndarray:
    """An array that JAX can take as it is, of values that are not set."""
    size = whole.size * whole.dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    first = -raw.ctypes.data % _ALIGNMENT
    return raw[first : first + size].view(whole.dtype).reshape(whole.shape)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="jinit-draw")
