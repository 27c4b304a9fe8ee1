"""Fill arrays in the host's memory from several threads, several windows of entries at a time."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from queue import SimpleQueue
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array, lax
from jax.sharding import Sharding

from jinit.model import default_platform
from jinit.programs.windows import WINDOW_SIZE

_WINDOWS_PER_CALL = 64
"""Windows that one call draws, so that the cost of the call itself is small."""
BUFFER_ARGUMENT = 3
"""Number of the argument of a window loop that is the memory to write to."""
_ALIGNMENT = 64
"""Bytes; JAX uses a NumPy array at such an address without copying it."""


@dataclass(frozen=True, eq=False)
class Fill:
    """An array to be filled."""

    arguments: Any
    """Arguments of the program for one window, without the start."""
    entries: np.ndarray
    """All entries of the array, along one axis."""


class Window(NamedTuple):
    """Consecutive entries of an array to be filled."""

    fill: int
    """Number of the array."""
    start: int
    """Number of the first entry."""


def is_in_host_memory(sharding: Sharding | None) -> bool:
    """Return whether arrays of this sharding, or of none, are in the host's memory."""
    if sharding is not None or not jax.sharding.get_abstract_mesh().empty:
        return False
    return default_platform() == "cpu"


def window_loop(draw_window: Callable[..., Array]) -> Callable[..., Array]:
    """Return a function that draws several windows in a loop.

    Its arguments are the arguments of each window stacked, the first entry of each window, the
    number of windows, and a buffer with one row per window to write them to.

    Args:
      draw_window: draws one window, given its arguments and first entry.
    """

    def program(arguments: Any, starts: Array, count: Array, buffer: Array) -> Array:
        def draw(row: Array, buffer: Array) -> Array:
            inputs, start = jax.tree.map(lambda leaf: leaf[row], (arguments, starts))
            window = draw_window(*inputs, start)
            if window.dtype != buffer.dtype:
                window = lax.bitcast_convert_type(window, buffer.dtype)
            return buffer.at[row].set(window)

        return lax.fori_loop(0, count, draw, buffer)

    return program


def example_arguments(arguments: Any, dtype: np.dtype) -> tuple[Any, ...]:
    """Return arguments of a window loop, given those of one window and the dtype of the array."""
    stacked = jax.tree.map(
        lambda leaf: np.broadcast_to(leaf, (_WINDOWS_PER_CALL, *leaf.shape)), arguments
    )
    starts, count = np.zeros(_WINDOWS_PER_CALL, np.uint32), np.zeros((), np.int32)
    return stacked, starts, count, _window_buffer(dtype)


def _window_buffer(dtype: np.dtype) -> np.ndarray:
    """Return memory for several windows, as unsigned integers where NumPy lacks the dtype."""
    shared = dtype if dtype.isbuiltin == 1 else np.dtype(f"uint{8 * dtype.itemsize}")
    return np.empty((_WINDOWS_PER_CALL, WINDOW_SIZE), shared)


class WindowFiller:
    """Filler of arrays, with as many threads as there are cores.

    There are as many buffers as threads. Each call takes a buffer and returns it, so that no memory
    is allocated or cleared.
    """

    def __init__(self) -> None:
        self._free_buffers: dict[np.dtype, SimpleQueue[Array]] = {}

    def begin_fills(self, program: Callable[..., Array], fills: Sequence[Fill]) -> list[Future]:
        """Begin to fill arrays of one dtype by a window loop.

        Arguments become JAX arrays here, because JAX's settings hold in the calling thread only.

        Returns:
          Futures; the arrays are filled when all of them are done.
        """
        if not fills:
            return []
        free = self._buffer_queue(fills[0].entries.dtype)
        leaves, trees = zip(*(jax.tree.flatten(fill.arguments) for fill in fills), strict=True)
        columns = [np.stack(column) for column in zip(*leaves, strict=True)]
        all_windows, futures = list(_split_windows(fills)), []
        for first in range(0, len(all_windows), _WINDOWS_PER_CALL):
            windows = all_windows[first : first + _WINDOWS_PER_CALL]
            numbers, starts = np.zeros((2, _WINDOWS_PER_CALL), np.uint32)
            numbers[: len(windows)] = [window.fill for window in windows]
            starts[: len(windows)] = [window.start for window in windows]
            stacked = trees[0].unflatten([column[numbers] for column in columns])
            arguments = jax.device_put((stacked, starts, np.int32(len(windows))))
            call = partial(program, *arguments)
            futures.append(_drawing_threads().submit(_draw_windows, call, free, fills, windows))
        return futures

    def _buffer_queue(self, dtype: np.dtype) -> SimpleQueue[Array]:
        if dtype not in self._free_buffers:
            self._free_buffers[dtype] = SimpleQueue()
            for _ in range(_thread_count()):
                self._free_buffers[dtype].put(jax.device_put(_window_buffer(dtype)))
        return self._free_buffers[dtype]


def _split_windows(fills: Sequence[Fill]) -> Iterator[Window]:
    for number, fill in enumerate(fills):
        yield from (Window(number, start) for start in range(0, fill.entries.size, WINDOW_SIZE))


def _draw_windows(
    program: Callable[[Array], Array],
    free: SimpleQueue[Array],
    fills: Sequence[Fill],
    windows: Sequence[Window],
) -> None:
    buffer: Any = program(free.get()).block_until_ready()
    _copy_windows(np.from_dlpack(buffer), fills, windows)  # no view outlives this call
    free.put(buffer)


def _copy_windows(buffer: np.ndarray, fills: Sequence[Fill], windows: Sequence[Window]) -> None:
    for row, window in zip(buffer, windows, strict=False):
        entries = fills[window.fill].entries[window.start : window.start + WINDOW_SIZE]
        target = entries.view(buffer.dtype)
        target[:] = row[: target.size]


def full_array(number: Any, aval: jax.ShapeDtypeStruct, sharding: Sharding | None = None) -> Array:
    """Return an array with one value; if it is sharded, each device holds its shard only."""
    if sharding is None:
        array = empty_array(aval)
        array[...] = number
        return jax.device_put(array)
    shard = np.full(sharding.shard_shape(aval.shape), number, aval.dtype)
    return jax.make_array_from_callback(aval.shape, sharding, lambda index: shard)


def empty_array(aval: jax.ShapeDtypeStruct) -> np.ndarray:
    """Return an array of unset values that JAX can use without a copy."""
    size = aval.size * aval.dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    first = -raw.ctypes.data % _ALIGNMENT
    return raw[first : first + size].view(aval.dtype).reshape(aval.shape)


@cache
def _drawing_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_thread_count(), thread_name_prefix="jinit-draw")


def _thread_count() -> int:
    return os.cpu_count() or 1
