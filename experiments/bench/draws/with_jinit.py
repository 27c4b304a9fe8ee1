"""jinit's initializers, called directly."""

import jinit
from draws import xla

LABEL = "jinit"
start = xla.start


def sampler(distribution: str, shape: tuple[int, ...], dtype: str):
    """`jinit.normal(0.05)(key, shape, dtype)` and its siblings."""
    return xla.sampler(xla.initializer(jinit, distribution), shape, dtype)


def many(distribution: str, number: int, shape: tuple[int, ...]):
    """`jax.vmap(jinit.normal(0.05))(keys)`, compiled."""
    return xla.many(xla.initializer(jinit, distribution), number, shape)


def scratch_bytes(distribution: str, shape: tuple[int, ...], dtype: str) -> int | None:
    """Bytes of temporary buffers in jinit's program."""
    return xla.scratch_bytes(xla.initializer(jinit, distribution), shape, dtype)
