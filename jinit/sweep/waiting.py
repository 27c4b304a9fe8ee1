"""Waiting for compilers and devices without standing still in silence."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import jax

_SECONDS_BETWEEN_SIGNS = 1.0
_SHORTEST_SLEEP, _LONGEST_SLEEP = 0.0001, 0.02
_SLEEP_SHARE = 0.01
"""Share of the time waited so far that is slept before the next look: looking takes a core."""


class Waiting:
    """Waits for work, and gives a sign of life once per second.

    Args:
      sign: called once per second while something is waited for.
    """

    def __init__(self, sign: Callable[[], None]) -> None:
        self._sign = sign
        self._last = time.monotonic()

    def give_sign(self) -> None:
        """Give a sign of life if the last one was a second ago; long work calls this often."""
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_SIGNS:
            self._sign()
            self._last = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for some time.

        Args:
          seconds: the time.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SECONDS_BETWEEN_SIGNS))
            self.give_sign()

    def for_arrays(self, tree: Any) -> None:
        """Wait until the arrays of a tree are computed."""
        self._last = begin_time = time.monotonic()
        leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "is_ready")]
        while not all(leaf.is_ready() for leaf in leaves):
            waited = time.monotonic() - begin_time
            time.sleep(min(max(_SLEEP_SHARE * waited, _SHORTEST_SLEEP), _LONGEST_SLEEP))
            self.give_sign()

    def for_futures(self, futures: Iterable[Future]) -> None:
        """Wait until futures are done, and raise the error of the first one that failed."""
        pending = set(futures)
        while pending:
            done, pending = wait(pending, _SECONDS_BETWEEN_SIGNS, FIRST_COMPLETED)
            for future in done:
                future.result()
            if pending and not done:
                self._sign()
