"""Arrays that the tests of several rooms share, and how they are compared."""

import jax
import jax.numpy as jnp
import numpy as np


def floats(*shape):
    """The shape of a float32 array."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def equal_bits(left, right) -> bool:
    """Return whether two arrays have the same shape, dtype and bytes."""
    left, right = np.asarray(left), np.asarray(right)
    is_alike = (left.shape, left.dtype) == (right.shape, right.dtype)
    return is_alike and left.tobytes() == right.tobytes()
