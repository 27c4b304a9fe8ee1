"""Derive threefry keys on the host, which takes microseconds and no compilation."""

import math
from collections.abc import Sequence

import numpy as np

from jinit.sampling.threefry import threefry2x32


def fold_in_key_data(key_data: np.ndarray, number: np.ndarray | int) -> np.ndarray:
    """Return the data of `jax.random.fold_in(key, number)` for the data of threefry keys.

    Args:
      key_data: data of one or more keys, uint32 `(..., 2)`.
      number: 32-bit integers whose shape broadcasts against `...`.

    Returns:
      Data of the derived keys, uint32 `(..., 2)`.

    >>> import jax
    >>> key = jax.random.key(3)
    >>> ours = fold_in_key_data(np.asarray(jax.random.key_data(key)), 7)
    >>> bool((ours == jax.random.key_data(jax.random.fold_in(key, 7))).all())
    True
    """
    low = np.asarray(number).astype(np.int64).astype(np.uint32)
    return _encrypt(key_data, np.zeros_like(low), low)


def split_key_data(key_data: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the data of `jax.random.split(key, shape)` for one partitionable threefry key.

    Args:
      key_data: data of the key, uint32 `(2,)`.
      shape: shape of the array of derived keys.

    Returns:
      Data of the derived keys, uint32 `(*shape, 2)`.

    >>> import jax
    >>> key = jax.random.key(3)
    >>> ours = split_key_data(np.asarray(jax.random.key_data(key)), (5,))
    >>> bool((ours == jax.random.key_data(jax.random.split(key, 5))).all())
    True
    """
    position = np.arange(math.prod(shape), dtype=np.uint64).reshape(shape)
    high, low = position >> np.uint64(32), position & np.uint64(2**32 - 1)
    return _encrypt(key_data, high.astype(np.uint32), low.astype(np.uint32))


def _encrypt(key_data: np.ndarray, high: np.ndarray, low: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        bits = threefry2x32((key_data[..., 0], key_data[..., 1]), high, low)
    return np.stack(np.broadcast_arrays(*bits), axis=-1)
