"""Randomness by name: the key of a parameter comes from its path and from nothing else."""

import hashlib

import jax
import numpy as np
from jax import Array

_COLLECTION = "params/"


def path_words(path: str) -> np.ndarray:
    """64 bits of the path as two words; Linen's `params/` in front of it does not count.

    >>> bool((path_words("params/Dense_0/kernel") == path_words("Dense_0/kernel")).all())
    True
    """
    digest = hashlib.sha256(path.removeprefix(_COLLECTION).encode()).digest()
    return np.frombuffer(digest[:8], "<u4")


def key_of(key: Array, words: Array | np.ndarray) -> Array:
    """The key of the parameter with these words, for one key of the whole model.

    >>> import jax
    >>> one, other = (key_of(jax.random.key(0), path_words(path)) for path in ("a/w", "b/w"))
    >>> bool((jax.random.key_data(one) == jax.random.key_data(other)).all())
    False
    """
    return jax.random.fold_in(jax.random.fold_in(key, words[0]), words[1])
