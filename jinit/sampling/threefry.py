"""Counter-based random bits, written so that XLA fuses them into the operation that uses them.

XLA's own threefry is a rolled loop with a full-size buffer for every round. The same twenty
rounds, written out on counters, cost no memory, compile several times faster and vectorize.
"""

import math
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jinit.sampling.rounding import check_dtype

# Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011), table 2:
# Threefry-2x32 rotates by these distances, four rounds between two key injections.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
# Lower 32 bits of Skein's key-schedule parity (the same paper, section 3.3).
_PARITY = np.uint32(0x1BD11BDA)
# The number of counters whose high half is zero.
_LOW_COUNTERS = 2**32
FUSED_BITS_CALL = "_jinit_fused_bits"
"""Name of the jitted call that generates random bits, as it appears in a jaxpr."""
_Bits = TypeVar("_Bits", Array, np.ndarray)
"""uint32 values in JAX or, on the host, in NumPy."""


def threefry2x32(key: tuple[_Bits, _Bits], high: _Bits, low: _Bits) -> tuple[_Bits, _Bits]:
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
    """Return the row-major position of every element of `shape` as uint32 halves `(high, low)`.

    Each axis contributes its own iota, so a sharded axis counts only its own shard. The high half
    is a scalar zero if all positions are below 2³².
    """
    if math.prod(shape) > _LOW_COUNTERS:
        return _wide_counters(shape)
    return jnp.zeros((), jnp.uint32), _counter_positions(shape, jnp.uint32)


def draw_bits(key: Array, shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.uint) -> Array:
    """Draw uniformly distributed unsigned integers, those of `jax.random.bits`.

    Element i is the XOR of the two outputs of Threefry-2x32 at counter i (their concatenation for
    64 bits). For keys of another implementation, `jax.random` draws.

    Args:
      key: one key, typed or legacy `uint32[2]`.
      shape: shape of the result; any rank, zero sizes allowed.
      dtype: uint8, uint16, uint32, or uint64 (with x64 enabled, where it is the default).

    Raises:
      TypeError: if `key` is not a key, or `dtype` is not an unsigned integer dtype.
      ValueError: if `key` holds several keys.

    Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.

    >>> import jax
    >>> key = jax.random.key(7)
    >>> bool((draw_bits(key, (3, 5)) == jax.random.bits(key, (3, 5))).all())
    True
    """
    check_dtype(
        dtype,
        jnp.unsignedinteger,
        "bits draws unsigned integers",
        "pass one such as uint32, or call draw_uniform for floating-point values",
    )
    shape, dtype = tuple(shape), jax.dtypes.canonicalize_dtype(dtype)
    if not has_fused_bits(key):
        return jax.random.bits(key, shape, dtype)
    return fused_bits(jax.random.key_data(key), shape, dtype)


def check_key(key: object, name: str = "") -> None:
    """Raise unless `key` is one random key.

    Args:
      key: one key, typed or legacy `uint32[2]`.
      name: the function that takes the key, for the message.

    Raises:
      TypeError: if `key` is not a key.
      ValueError: if `key` holds several keys.

    >>> import jax
    >>> check_key(jax.random.key(0))
    """
    prefix = f"{name}: " if name else ""
    is_array = isinstance(key, jax.Array | np.ndarray | jax.ShapeDtypeStruct)
    dtype, shape = (key.dtype, key.shape) if is_array else (np.dtype(object), ())
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        batch = shape
    elif dtype == np.uint32 and shape and shape[-1] in (2, 4):
        batch = shape[:-1]
    else:
        seed = key if isinstance(key, int) and not isinstance(key, bool) else "seed"
        raise TypeError(
            f"{prefix}expected a random key, got {_describe(key)}: make one with "
            f"jax.random.key({seed})"
        )
    if batch:
        raise ValueError(
            f"{prefix}expected one random key, got an array of keys of shape {tuple(batch)}: "
            "draw for each of them with jax.vmap"
        )


_LONGEST_TEXT = 60
"""Number of characters up to which a message shows a value."""


def _describe(value: object) -> str:
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text, name = repr(value), type(value).__name__
    return f"{text} ({name})" if len(text) < _LONGEST_TEXT else name


def has_fused_bits(key: Array) -> bool:
    """Return whether jinit generates the bits of this key itself: partitionable threefry.

    Args:
      key: one key, typed or legacy `uint32[2]`.

    Raises:
      TypeError: if `key` is not a key.
      ValueError: if `key` holds several keys.

    >>> import jax
    >>> has_fused_bits(jax.random.key(0, impl="rbg"))
    False
    """
    check_key(key)
    return jax.random.key_impl(key) == "threefry2x32" and bool(
        getattr(jax.config, "jax_threefry_partitionable", True)
    )


def fused_bits_range(key_data: Array, first: ArrayLike, size: int, dtype: DTypeLike) -> Array:
    """Return `size` consecutive elements of the flattened `draw_bits`, from position `first` on.

    Args:
      key_data: data of one threefry key, uint32 `(2,)`.
      first: position of the first element, below 2³²; may be traced.
      size: number of elements.
      dtype: an unsigned integer dtype.

    >>> import jax
    >>> key = jax.random.key(7)
    >>> bits = fused_bits_range(jax.random.key_data(key), 6, 3, "uint32")
    >>> bool((bits == draw_bits(key, (3, 3))[2]).all())
    True
    """
    low = lax.iota(jnp.uint32, size) + jnp.asarray(first, jnp.uint32)
    return _threefry_bits(key_data, jnp.zeros((), jnp.uint32), low, np.dtype(dtype))


def fused_bits(key_data: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Return the bits of `draw_bits` for the data of a key; no argument is checked.

    In a jaxpr this is a call named FUSED_BITS_CALL, which can be replaced by `fused_bits_range`.

    Args:
      key_data: data of one partitionable threefry key, uint32 `(2,)`.
      shape: shape of the result.
      dtype: an unsigned integer dtype.

    >>> import jax
    >>> key = jax.random.key(7)
    >>> bits = fused_bits(jax.random.key_data(key), (3, 5), np.dtype("uint32"))
    >>> bool((bits == draw_bits(key, (3, 5))).all())
    True
    """
    return _jinit_fused_bits(key_data, shape, dtype)


@partial(jax.jit, static_argnums=(1, 2))
def _jinit_fused_bits(key_data: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    return jnp.broadcast_to(_threefry_bits(key_data, *counters(shape), dtype), shape)


def _threefry_bits(key_data: Array, high: Array, low: Array, dtype: np.dtype) -> Array:
    first, second = threefry2x32((key_data[0], key_data[1]), high, low)
    if dtype.itemsize == 8:
        return first.astype(dtype) << np.array(32, dtype) | second.astype(dtype)
    return (first ^ second).astype(dtype)


def _rotate_left(bits: _Bits, distance: int) -> _Bits:
    return (bits << np.uint32(distance)) | (bits >> np.uint32(32 - distance))


def _counter_positions(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
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
        position = _counter_positions(shape, jnp.uint64)
        high = (position >> np.uint64(32)).astype(jnp.uint32)
        return high, position.astype(jnp.uint32)
