"""The draws that a computation is made of, ready to be called."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jax import Array

from jinit.rules.identity import name_of_program, steps
from jinit.rules.memory import is_host, round_of
from jinit.rules.programs import Call, Program
from jinit.rules.slices import Slice


@dataclass(frozen=True, eq=False)
class Draw:
    """One slice of a computation, and what it is called in whole and by windows."""

    part: Slice
    name: str
    window: Slice | None
    window_name: str | None

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

        made = function if extent is None else round_of(function)
        program = Program((name, str(whole.dtype)), made, sharding)
        return Call(program, (tuple(values), self.part.numbers), extent, number)


def draws(parts: Sequence[Slice]) -> list[Draw]:
    """One per slice; slices of one trace that do the same are looked at once."""
    known: dict[Any, Draw] = {}
    found = []
    for part in parts:
        same = steps(part.graph)
        if same not in known:
            known[same] = _draw(part)
        found.append(replace(known[same], part=part))
    return found


def _draw(part: Slice) -> Draw:
    window = part.window
    name = name_of_program(part.graph)
    return Draw(part, name, window, window and name_of_program(window.graph))


def _as(drawn: Array, dtype: Any) -> Array:
    return drawn.astype(dtype) if drawn.dtype != dtype else drawn
