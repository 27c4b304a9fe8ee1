"""Counter-based random words, written so that XLA fuses them into whatever consumes them.

XLA's own threefry is a rolled loop with a full-size buffer for every round; the same twenty
rounds written out on counters cost no memory, compile several times faster and vectorize.
"""

import math
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

# Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011), table 2:
# Threefry-2x32 rotates by these distances, four rounds between two key injections.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
# Skein's key-schedule parity (the same paper, section 3.3), low word.
_PARITY = np.uint32(0x1BD11BDA)
_WORDS_PER_COUNTER_WORD = 2**32
WORDS = "random_words"
"""The name of the call that makes all words, as a trace shows it."""
Words = TypeVar("Words", Array, np.ndarray)
"""Words in JAX or, on the host, in NumPy."""


def threefry2x32(key: tuple[Words, Words], high: Words, low: Words) -> tuple[Words, Words]:
    """Encrypt the 64-bit counters `(high, low)` under `key` with twenty Threefry rounds."""
    schedule = (*key, key[0] ^ key[1] ^ _PARITY)
    x, y = high + schedule[0], low + schedule[1]
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x = x + y
            y = _rotate_left(y, distance) ^ x
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def counters(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Row-major position of every element of `shape`, as two words `(high, low)`.

    Each axis contributes its own iota, so a sharded axis counts only its own shard.
    """
    if math.prod(shape) > _WORDS_PER_COUNTER_WORD:
        return _wide_counters(shape)
    return jnp.zeros((), jnp.uint32), _position(shape, jnp.uint32)


def bits(key: Array, shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.uint) -> Array:
    """Uniformly distributed unsigned words: `jax.random.bits`, element for element.

    Word i is the XOR of the two outputs of Threefry-2x32 at counter i (their concatenation for
    64-bit words). Keys of another implementation are handed to `jax.random`.

    Args:
      key: one key, typed or legacy `uint32[2]`.
      shape: shape of the result; any rank, zero sizes allowed.
      dtype: uint8, uint16, uint32, or uint64 (with x64 enabled, where it is the default).

    Raises:
      TypeError: `key` is not a key, or `dtype` not an unsigned integer.
      ValueError: `key` holds several keys.

    Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.

    >>> import jax
    >>> key = jax.random.key(7)
    >>> bool((bits(key, (3, 5)) == jax.random.bits(key, (3, 5))).all())
    True
    """
    if not jnp.issubdtype(dtype, jnp.unsignedinteger):
        raise TypeError(
            f"bits draws unsigned integers, got dtype {jnp.dtype(dtype).name}: ask for uint32, or "
            "for uniform() if you want floating-point values"
        )
    shape, dtype = tuple(shape), jax.dtypes.canonicalize_dtype(dtype)
    if not is_fused(key):
        return jax.random.bits(key, shape, dtype)
    return random_words(jax.random.key_data(key), shape, dtype)


def is_fused(key: Array) -> bool:
    """Whether jinit can produce this key's words itself (threefry, partitionable)."""
    _check_key(key)
    return jax.random.key_impl(key) == "threefry2x32" and bool(
        getattr(jax.config, "jax_threefry_partitionable", True)
    )


def words_from(key_data: Array, start: ArrayLike, size: int, dtype: DTypeLike) -> Array:
    """`size` consecutive words of the stream of `bits`, from position `start` (below 2³²) on.

    >>> import jax
    >>> key = jax.random.key(7)
    >>> words = words_from(jax.random.key_data(key), 6, 3, "uint32")
    >>> bool((words == bits(key, (3, 3))[2]).all())
    True
    """
    low = lax.iota(jnp.uint32, size) + jnp.asarray(start, jnp.uint32)
    return _words(key_data, jnp.zeros((), jnp.uint32), low, np.dtype(dtype))


# Traces show it as a call of the name WORDS: whoever wants a part of the stream replaces it there.
@partial(jax.jit, static_argnums=(1, 2))
def random_words(key_data: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Words of a fused key's data; both are already checked."""
    return jnp.broadcast_to(_words(key_data, *counters(shape), dtype), shape)


def _words(key_data: Array, high: Array, low: Array, dtype: np.dtype) -> Array:
    first, second = threefry2x32((key_data[0], key_data[1]), high, low)
    if dtype.itemsize == 8:
        return first.astype(dtype) << np.array(32, dtype) | second.astype(dtype)
    return (first ^ second).astype(dtype)


def _rotate_left(word: Words, distance: int) -> Words:
    return (word << np.uint32(distance)) | (word >> np.uint32(32 - distance))


def _position(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    modulus = 2 ** (8 * np.dtype(dtype).itemsize)
    terms = (
        lax.broadcasted_iota(dtype, shape, axis) * np.array(stride % modulus, dtype)
        for axis, stride in enumerate(strides)
        if shape[axis] != 1
    )
    return sum(terms, start=jnp.zeros((), dtype))


def _wide_counters(shape: tuple[int, ...]) -> tuple[Array, Array]:
    with jax.enable_x64(True):
        position = _position(shape, jnp.uint64)
        high = (position >> np.uint64(32)).astype(jnp.uint32)
        return high, position.astype(jnp.uint32)


def _check_key(key: Array) -> None:
    dtype = getattr(key, "dtype", np.dtype(object))
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        lead = key.shape
    elif dtype == np.uint32 and key.ndim >= 1:
        lead = key.shape[:-1]
    else:
        raise TypeError(
            f"expected a random key, got {type(key).__name__}: make one with jax.random.key(seed)"
        )
    if lead:
        raise ValueError(
            f"expected one random key, got an array of keys of shape {tuple(lead)}: "
            "draw for each of them with jax.vmap"
        )
