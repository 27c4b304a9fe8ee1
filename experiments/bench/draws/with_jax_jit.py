"""jax.nn.initializers inside `jax.jit`, the best a JAX user can do without another library."""

import jax
from jax.nn import initializers

from draws import with_jax, xla

LABEL = "jax.nn.initializers in jit"
start = xla.start
scratch_bytes = with_jax.scratch_bytes


def sampler(distribution: str, shape: tuple[int, ...], dtype: str):
    """One compiled program for the whole draw."""
    init = jax.jit(xla.initializer(initializers, distribution), static_argnums=(1, 2))
    return xla.sampler(init, shape, dtype)
