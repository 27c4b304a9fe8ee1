"""Arrays in the host's memory, filled by several threads, a window of entries at a time."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

import jax
import numpy as np
from jax import Array

from jinit.rules.windows import SIZE

START = np.zeros((), np.uint32)
"""An example of the place at which a window begins."""

_ALIGNMENT = 64
"""Bytes; at such addresses JAX takes an array of NumPy's as it is, without a copy."""
_TURN = 8
"""Windows that one thread draws in a row."""


def is_host(sharding: Any) -> bool:
    """Whether an array of this sharding, None for no particular one, lies in the host's memory."""
    if sharding is not None:
        return False
    device = getattr(jax.config, "jax_default_device", None) or jax.default_backend()
    return getattr(device, "platform", device) == "cpu"


def fill(
    program: Callable[..., Array], arguments: Sequence[Any], whole: jax.ShapeDtypeStruct
) -> Callable[[], Array]:
    """Begin to draw an array by a program for a window of it; the result waits for the end.

    Args:
      program: of the arguments and of the entry to begin with; returns `SIZE` entries.
    """
    array = empty(whole.shape, whole.dtype)
    entries = array.reshape(-1)
    arguments = jax.device_put(arguments)  # here, where JAX's settings hold

    def draw(first: int) -> None:
        for start in range(first, min(first + _TURN * SIZE, entries.size), SIZE):
            window = entries[start : start + SIZE]
            window[:] = np.asarray(program(*arguments, np.uint32(start)))[: window.size]

    turns: list[Future] = [
        _pool().submit(draw, first) for first in range(0, entries.size, _TURN * SIZE)
    ]

    def finished() -> Array:
        for turn in turns:
            turn.result()
        return jax.device_put(array)

    return finished


def empty(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An array that JAX can take as it is, of values that are not set."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    first = -raw.ctypes.data % _ALIGNMENT
    return raw[first : first + size].view(dtype).reshape(shape)


def filled(number: Any, whole: jax.ShapeDtypeStruct, sharding: Any = None) -> Array:
    """An array of one number."""
    array = empty(whole.shape, whole.dtype)
    array[...] = number
    return jax.device_put(array, sharding)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor((os.cpu_count() or 1) + 1, thread_name_prefix="jinit-draw")
