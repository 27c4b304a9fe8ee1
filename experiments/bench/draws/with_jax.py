"""jax.nn.initializers, called directly as a framework does outside jit."""

from jax.nn import initializers

from draws import xla

LABEL = "jax.nn.initializers"
start = xla.start


def sampler(distribution: str, shape: tuple[int, ...], dtype: str):
    """`jax.nn.initializers.normal(0.05)(key, shape, dtype)` and its siblings."""
    return xla.sampler(xla.initializer(initializers, distribution), shape, dtype)


def many(distribution: str, number: int, shape: tuple[int, ...]):
    """`jax.vmap(jax.nn.initializers.normal(0.05))(keys)`, compiled."""
    return xla.many(xla.initializer(initializers, distribution), number, shape)


def scratch_bytes(distribution: str, shape: tuple[int, ...], dtype: str) -> int | None:
    """Bytes of temporary buffers in JAX's program."""
    return xla.scratch_bytes(xla.initializer(initializers, distribution), shape, dtype)
