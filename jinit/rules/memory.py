"""Arrays in the host's memory, filled by several threads, a few windows of entries at a time."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from queue import SimpleQueue
from typing import Any

import jax
import numpy as np
from jax import Array, lax

from jinit.rules.windows import SIZE

Fill = tuple[Any, np.ndarray]
"""Arguments of a program for one window, and all entries that are to be drawn."""

_ROUND = 64
"""Windows that are drawn by one call, so that calling costs little beside drawing."""
BUFFER = 3
"""Which argument of a program for several windows is the memory that it may write to."""
_ALIGNMENT = 64
"""Bytes; at such addresses JAX takes an array of NumPy's as it is, without a copy."""


def is_host(sharding: Any) -> bool:
    """Whether an array of this sharding, None for no particular one, lies in the host's memory."""
    if sharding is not None or not jax.sharding.get_abstract_mesh().empty:
        return False
    device = getattr(jax.config, "jax_default_device", None) or jax.default_backend()
    return getattr(device, "platform", device) == "cpu"


def round_of(window: Callable[..., Array]) -> Callable[..., Array]:
    """A program for several windows: of stacked arguments and starts, how many there are, and rows
    to write them to."""

    def program(arguments: Any, starts: Array, count: Array, rows: Array) -> Array:
        def draw(place: Array, rows: Array) -> Array:
            inputs, start = jax.tree.map(lambda leaf: leaf[place], (arguments, starts))
            drawn = window(*inputs, start)
            if drawn.dtype != rows.dtype:
                drawn = lax.bitcast_convert_type(drawn, rows.dtype)
            return rows.at[place].set(drawn)

        return lax.fori_loop(0, count, draw, rows)

    return program


def example(arguments: Any, dtype: np.dtype) -> tuple[Any, ...]:
    """What the program for several windows takes, given the arguments of one and its dtype."""
    stacked = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (_ROUND, *leaf.shape)), arguments)
    return stacked, np.zeros(_ROUND, np.uint32), np.zeros((), np.int32), _rows(dtype)


def _rows(dtype: np.dtype) -> np.ndarray:
    """Memory for several windows; as words of the same size where NumPy shares no such numbers."""
    shared = dtype if dtype.isbuiltin == 1 else np.dtype(f"uint{8 * dtype.itemsize}")
    return np.empty((_ROUND, SIZE), shared)


class Filling:
    """Arrays on their way, drawn by as many threads as there are cores.

    As many rows as there are threads go round: each call hands them in and gets them back, so that
    no memory is asked for or zeroed.
    """

    def __init__(self) -> None:
        self._free: dict[np.dtype, SimpleQueue[Array]] = {}

    def begin(self, program: Callable[..., Array], fills: Sequence[Fill]) -> list[Future]:
        """Begin to draw arrays of one dtype by a program for several windows.

        They are there when all futures are. JAX's settings hold in the calling thread only, which
        is why arguments become JAX's arrays here.
        """
        if not fills:
            return []
        free, futures, every = self._rows_of(fills[0][1].dtype), [], list(_windows(fills))
        leaves, tree = zip(*(jax.tree.flatten(arguments) for arguments, _ in fills), strict=True)
        columns = [np.stack(column) for column in zip(*leaves, strict=True)]
        for first in range(0, len(every), _ROUND):
            windows = every[first : first + _ROUND]
            numbers, starts = np.zeros((2, _ROUND), np.uint32)
            numbers[: len(windows)], starts[: len(windows)] = np.transpose(windows)
            stacked = tree[0].unflatten([column[numbers] for column in columns])
            arguments = jax.device_put((stacked, starts, np.int32(len(windows))))
            call = partial(program, *arguments)
            futures.append(_pool().submit(_draw, call, free, fills, windows))
        return futures

    def _rows_of(self, dtype: np.dtype) -> SimpleQueue[Array]:
        if dtype not in self._free:
            self._free[dtype] = SimpleQueue()
            for _ in range(_threads()):
                self._free[dtype].put(jax.device_put(_rows(dtype)))
        return self._free[dtype]


def _windows(fills: Sequence[Fill]) -> Iterator[tuple[int, int]]:
    """Every window: of which array, and the entry that it begins with."""
    for number, (_, entries) in enumerate(fills):
        yield from ((number, start) for start in range(0, entries.size, SIZE))


def _draw(
    program: Callable[[Array], Array],
    free: SimpleQueue[Array],
    fills: Sequence[Fill],
    windows: Sequence[tuple[int, int]],
) -> None:
    rows: Any = program(free.get()).block_until_ready()
    _copy(np.from_dlpack(rows), fills, windows)  # which looks at the rows no longer than that
    free.put(rows)


def _copy(rows: np.ndarray, fills: Sequence[Fill], windows: Sequence[tuple[int, int]]) -> None:
    for row, (number, start) in zip(rows, windows, strict=False):
        window = fills[number][1][start : start + SIZE].view(rows.dtype)
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
    return ThreadPoolExecutor(_threads(), thread_name_prefix="jinit-draw")


def _threads() -> int:
    return os.cpu_count() or 1
