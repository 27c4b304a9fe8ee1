"""Keys of parameters, derived from their paths."""

import hashlib
from collections.abc import Collection

import jax
import numpy as np
from jax import Array

_PARAMS_PREFIX = "params/"


def path_bits(path: str, paths: Collection[str] = ()) -> np.ndarray:
    """Return a hash of the path, without Linen's prefix `params/`, as two 32-bit integers.

    Args:
      path: path of a parameter.
      paths: paths of all parameters; the prefix is kept where another one has the rest as its path.

    >>> bool((path_bits("params/Dense_0/kernel") == path_bits("Dense_0/kernel")).all())
    True
    """
    rest = path.removeprefix(_PARAMS_PREFIX)
    digest = hashlib.sha256((path if rest in paths else rest).encode()).digest()
    return np.frombuffer(digest[:8], "<u4")


def parameter_key(key: Array, bits: Array | np.ndarray) -> Array:
    """Return the key of one parameter, derived from the model's key.

    Args:
      key: the key of the whole model.
      bits: the `path_bits` of the parameter.

    >>> import jax
    >>> first, second = (
    ...     parameter_key(jax.random.key(0), path_bits(path)) for path in ("a/w", "b/w")
    ... )
    >>> bool((jax.random.key_data(first) == jax.random.key_data(second)).all())
    False
    """
    return jax.random.fold_in(jax.random.fold_in(key, bits[0]), bits[1])
