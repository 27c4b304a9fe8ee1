"""Functions that are compiled for a model, and whose programs are freed when other models come."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

import jax

_RECENT = 16
"""Number of programs of a function that are kept. A program of a network of a few layers takes a
hundred memory maps, of which Linux gives a process 65,530 and kills it at the next one."""

_R = TypeVar("_R")


class RecentPrograms(Generic[_R]):
    """A function compiled once for each value of its static arguments, as by `jax.jit`.

    `jax.jit` itself keeps the programs, and so the models, of all static arguments that it was
    ever called with.

    Args:
      function: the function. Its first arguments are static and hashable, the others arrays.
      static_count: number of static arguments.
    """

    def __init__(self, function: Callable[..., _R], static_count: int) -> None:
        self._static_count = static_count
        self._program = lru_cache(maxsize=_RECENT)(
            lambda *static: jax.jit(partial(function, *static))
        )

    def __call__(self, *args: Any) -> _R:
        """Run the program, which is compiled if it is not among the recent ones."""
        static, arrays = self._split(args)
        return self._program(*static)(*arrays)

    def trace(self, *args: Any) -> jax.stages.Traced:
        """Return the program before it is compiled."""
        static, arrays = self._split(args)
        return self._program(*static).trace(*arrays)

    def _split(self, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return args[: self._static_count], args[self._static_count :]


def jit_recent(static_count: int) -> Callable[[Callable[..., _R]], RecentPrograms[_R]]:
    """Return a decorator: `jax.jit` with static first arguments, of which the recent ones count.

    Args:
      static_count: number of static arguments, which come first.

    >>> import jax.numpy as jnp
    >>> @jit_recent(1)
    ... def power(exponent, x):
    ...     return x**exponent
    >>> power(3, jnp.float32(2.0)).item()
    8.0
    """
    return lambda function: RecentPrograms(function, static_count)
