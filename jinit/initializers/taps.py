"""Convolution kernels that are zero except for the matrix on one tap."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array


@partial(jax.jit, static_argnums=(1, 2))
def place_tap(matrix: Array, shape: tuple[int, ...], tap: tuple[int, ...]) -> Array:
    """Return the kernel `(*spatial, in, out)` with the matrix on one tap and zeros elsewhere."""
    kernel = jnp.zeros(shape, matrix.dtype)
    return kernel if 0 in shape else kernel.at[tap].set(matrix)


def center_tap(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the tap that SAME padding aligns with the output: `(n - 1) // 2` on every axis."""
    return tuple((size - 1) // 2 for size in shape[:-2])


def middle_tap(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the tap `n // 2` on every spatial axis, as PyTorch's dirac_ does."""
    return tuple(size // 2 for size in shape[:-2])
