"""Arrays that the tests of several rooms share, and how they are compared."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from numpy_threefry import threefry_bits
from scipy.special import erfinv


def floats(*shape):
    """The shape of a float32 array."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def normals(key, shape):
    """`jax.random.normal(key, shape)` up to rounding, without a compilation for each shape.

    Args:
      key: a key, or the seed of one; JAX itself draws if it is traced.
      shape: the shape.
    """
    if isinstance(key, jax.core.Tracer):
        return jax.random.normal(key, shape)
    words = (0, key) if isinstance(key, int) else np.asarray(jax.random.key_data(key))
    bits = threefry_bits(words, math.prod(shape)).reshape(shape)
    lowest, unit = np.nextafter(np.float32(-1), np.float32(0)), np.float32(2.0**-23)
    signed = (bits >> np.uint32(9)).astype(np.float32) * unit * (1 - lowest) + lowest
    return jnp.asarray(np.sqrt(2) * erfinv(signed.astype(float)), jnp.float32)


def equal_bits(left, right) -> bool:
    """Return whether two arrays have the same shape, dtype and bytes."""
    left, right = np.asarray(left), np.asarray(right)
    is_alike = (left.shape, left.dtype) == (right.shape, right.dtype)
    return is_alike and left.tobytes() == right.tobytes()
