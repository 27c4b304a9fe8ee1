"""The draws that a computation is made of, ready to be called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jax import Array

from jinit.rules.identity import name_of_program, steps
from jinit.rules.memory import is_host, round_of
from jinit.rules.programs import Call, Constant, Program
from jinit.rules.slices import Slice
from jinit.rules.windows import SIZE


@dataclass(frozen=True, eq=False)
class Draw:
    """One slice of a computation, and what it is called in whole and by windows."""

    part: Slice
    whole: Slice
    """The same, in the shape of its result from the start where that can be: no step then has to
    lay it out anew over a mesh."""
    name: str
    window: Slice | None
    window_name: str | None

    def call(self, values: Sequence[Any], whole: Any, sharding: Any = None) -> Call | Constant:
        """The call that draws `whole`, a shape and dtype, from the values of the inputs."""
        number = self.part.constant
        if number is not None:
            return Constant(number, whole, sharding)
        part, name, by_window = self.whole, self.name, False
        if self.window is not None and is_host(sharding):
            part, name, by_window = self.window, self.window_name, True

        def function(inputs: Sequence[Any], numbers: Sequence[Any], *start: Any) -> Array:
            return _as(part.call(inputs, numbers, *start), whole.dtype)

        made = round_of(function) if by_window else function
        program = Program((name, str(whole.dtype)), made, sharding)
        arguments = tuple(values), self.part.numbers
        return Call(program, arguments, whole if by_window else None)


class Draws:
    """The draws of a computation by number of the output, each cut out when it is asked for.

    The programs of the first are compiled while others are cut, and what does the same is looked
    at once.
    """

    def __init__(self, cut: Callable[[int], Slice]) -> None:
        self._cut = cut
        self._found: dict[int, Draw] = {}
        self._known: dict[Any, Draw] = {}

    def __getitem__(self, output: int) -> Draw:
        if output not in self._found:
            part = self._cut(output)
            same = steps(part.graph)
            if same not in self._known:
                self._known[same] = _draw(part)
            self._found[output] = replace(self._known[same], part=part)
        return self._found[output]


def _draw(part: Slice) -> Draw:
    whole, window = part.lifted(part.shape) or part, part.lifted((SIZE,))
    name = name_of_program(whole.graph)
    return Draw(part, whole, name, window, window and name_of_program(window.graph))


def _as(drawn: Array, dtype: Any) -> Array:
    return drawn.astype(dtype) if drawn.dtype != dtype else drawn
