"""Find parameters that are equal to each other, entry by entry."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jinit.gains.randomness import looks_random

_PREFIX_ENTRIES = 64
"""Number of entries that are compared before whole arrays are."""


def find_equal_arrays(arrays: Mapping[str, Any]) -> dict[str, str]:
    """Return the path of the first equal array for every later one, if these look drawn at random.

    Tables that are computed, such as sinusoids, are rightly equal in all layers.

    Args:
      arrays: arrays by path.
    """
    by_prefix: dict[Any, list[tuple[str, np.ndarray]]] = {}
    equal_paths = {}
    for path, leaf in arrays.items():
        array = read_numbers(leaf)
        prefix = array.reshape(-1)[:_PREFIX_ENTRIES]
        candidates = by_prefix.setdefault((array.shape, prefix.tobytes()), [])
        equal = [earlier for earlier, other in candidates if np.array_equal(array, other)]
        if equal and looks_random(array):
            equal_paths[path] = equal[0]
        candidates.append((path, array))
    return equal_paths


def read_numbers(leaf: Any) -> np.ndarray:
    """Return a parameter as a NumPy array: narrow floats as float32, a random key as its data."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return array if array.dtype.itemsize > 2 or array.dtype.kind in "iub" else array.astype("f4")
