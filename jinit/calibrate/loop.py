"""Loops of many steps, as values, and the ways to run them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate.method_progress import LayerPlace
from jinit.model import PyTree

Result = TypeVar("Result")

LoopEnd = tuple[Any, dict[str, Array]]
"""The last state of a loop, and its numbers by name, each with one entry per step."""


class LoopBody(NamedTuple):
    """The first state of a loop, and its step."""

    state: PyTree
    step: Callable[[Any, Array], tuple[Any, dict[str, Array]]]
    """`step(state, number)` returns the next state, and numbers by name."""


@dataclass(frozen=True)
class Loop:
    """A loop of many steps, each of which begins with the state after the one before.

    Equal loops on arrays of equal shapes compile once.

    Args:
      build: `build(*options, *arrays)` returns the LoopBody; a function of a module or class.
      options: arguments that can be hashed.
      total: number of steps.
      numbers: names of the numbers of a step; progress shows the first one.
      unit: what a step is called in messages.

    >>> def count(size, first):
    ...     return LoopBody(first, lambda state, number: (state + size, {"number": number}))
    >>> state, numbers = Loop(count, (2,), 3, ("number",)).run((jnp.ones(()),))
    >>> float(state), numbers["number"].tolist()
    (7.0, [0, 1, 2])
    """

    build: Callable[..., LoopBody]
    options: tuple[Hashable, ...]
    total: int
    numbers: tuple[str, ...]
    unit: str = "step"

    def body(self, arrays: tuple[PyTree, ...]) -> LoopBody:
        """Return the first state and the step.

        Args:
          arrays: the arrays that the loop reads.
        """
        return self.build(*self.options, *arrays)

    def run(self, arrays: tuple[PyTree, ...]) -> LoopEnd:
        """Run all steps; the function can be traced, and vmapped.

        Args:
          arrays: the arrays that the loop reads.
        """
        state, step = self.body(arrays)
        return jax.lax.scan(step, state, jnp.arange(self.total))


class LoopRunner(ABC):
    """A way to run the loops of a method, and to choose between two of them."""

    @abstractmethod
    def run(
        self, loop: Loop, arrays: tuple[PyTree, ...], layer: LayerPlace | None = None
    ) -> LoopEnd:
        """Run a loop.

        Args:
          loop: the loop.
          arrays: the arrays that it reads.
          layer: the layer that it trains, for messages.
        """

    @abstractmethod
    def choose(
        self, condition: Array, first: Callable[[], Result], second: Callable[[], Result]
    ) -> Result:
        """Return the result of one of two functions.

        Args:
          condition: whether it is that of the first one.
          first: a function that may run loops.
          second: another one, whose result has the same shapes.
        """


class OneProgram(LoopRunner):
    """Loops as parts of one program, which can be traced and vmapped."""

    def run(
        self, loop: Loop, arrays: tuple[PyTree, ...], layer: LayerPlace | None = None
    ) -> LoopEnd:
        """Run all steps.

        Args:
          loop: the loop.
          arrays: the arrays that it reads.
          layer: not used.
        """
        del layer
        return loop.run(arrays)

    def choose(
        self, condition: Array, first: Callable[[], Result], second: Callable[[], Result]
    ) -> Result:
        """Return the result of one of two functions, by a condition that may be traced.

        Args:
          condition: whether it is that of the first one.
          first: the first function.
          second: the second function.
        """
        return jax.lax.cond(condition, first, second)
