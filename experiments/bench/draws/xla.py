"""What jinit and jax.nn.initializers share: the same protocol, hence the same way to call them."""

import functools
from collections.abc import Callable
from types import ModuleType

import jax
import jax.numpy as jnp

from draws import SCALE


def start() -> None:
    """Start the backend and make the key, so that neither counts as drawing."""
    jax.block_until_ready((key(), jnp.zeros(()) + 1))


@functools.cache
def key() -> jax.Array:
    """The key of every draw; nothing remembers values by key, so one is enough."""
    return jax.random.key(0)


def initializer(initializers: ModuleType, distribution: str) -> Callable:
    """The initializer of that name from `jinit` or `jax.nn.initializers`."""
    return getattr(initializers, distribution)(SCALE)


def sampler(init: Callable, shape: tuple[int, ...], dtype: str) -> Callable[[], jax.Array]:
    """Call `init` as it stands and wait for the values."""
    kind = jnp.dtype(dtype)
    return lambda: init(key(), shape, kind).block_until_ready()


def many(init: Callable, number: int, shape: tuple[int, ...]) -> Callable[[], jax.Array]:
    """One compiled program that draws float32 for many keys by `vmap`, and waits for the values."""
    keys = jax.random.split(key(), number)
    program = jax.jit(jax.vmap(lambda key: init(key, shape)))
    return lambda: program(keys).block_until_ready()


def scratch_bytes(init: Callable, shape: tuple[int, ...], dtype: str) -> int | None:
    """Bytes of XLA's own temporary buffers when the whole draw is one program."""
    program = jax.jit(lambda key: init(key, shape, jnp.dtype(dtype)))
    analysis = program.lower(key()).compile().memory_analysis()
    return None if analysis is None else analysis.temp_size_in_bytes
