"""The draws that a computation is made of, ready to be called."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jax import Array

from jinit.rules.identity import names
from jinit.rules.memory import is_host
from jinit.rules.programs import Call, Program
from jinit.rules.slices import Slice


@dataclass(frozen=True, eq=False)
class Draw:
    """One slice of a computation, and what it is called in whole and by windows."""

    part: Slice
    name: str
    window: Slice | None
    window_name: str

    def call(self, values: Sequence[Any], whole: Any, sharding: Any = None) -> Call:
        """The call that draws `whole`, a shape and dtype, from the values of the inputs."""
        part, name, extent = self.part, self.name, None
        number = part.constant
        if number is not None:
            extent = whole
        elif self.window and is_host(sharding):
            part, name, extent = self.window, self.window_name, whole

        def function(inputs: Sequence[Any], numbers: Sequence[Any], *start: Any) -> Array:
            return _as(part.call(inputs, numbers, *start), whole.dtype)

        program = Program((name, str(whole.dtype)), function, sharding)
        return Call(program, (tuple(values), part.numbers), extent, number)


def draws(parts: Sequence[Slice]) -> list[Draw]:
    """One per slice."""
    windows = [part.window or part for part in parts]
    every = zip(parts, names(parts), windows, names(windows), strict=True)
    return [
        Draw(part, name, window if window is not part else None, window_name)
        for part, name, window, window_name in every
    ]


def _as(drawn: Array, dtype: Any) -> Array:
    return drawn.astype(dtype) if drawn.dtype != dtype else drawn
