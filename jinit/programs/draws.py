"""Draws that a computation consists of, each ready to be called as a program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr

from jinit.model import Graph
from jinit.programs.calls import Call, ConstantArray, Program
from jinit.programs.folding import fold_constants
from jinit.programs.memory import is_in_host_memory, window_loop
from jinit.programs.program_identity import graph_structure, program_fingerprint
from jinit.programs.slices import Slice
from jinit.programs.windows import WINDOW_SIZE
from jinit.sampling import FUSED_BITS_CALL


@dataclass(frozen=True, eq=False)
class NamedSlice:
    """A slice of a computation with the name of its program."""

    slice: Slice
    name: str


@dataclass(frozen=True, eq=False)
class Draw:
    """One slice of a computation, with its programs for the whole array and for windows."""

    output_slice: Slice
    """The slice as it was cut out, whose inputs the programs take."""
    array: NamedSlice
    """The draw without intermediate shapes where possible, so that none is resharded."""
    window: NamedSlice | None
    """The draw of one window; None if the draw is not entry by entry."""

    def make_call(
        self, values: Sequence[Any], aval: Any, sharding: Any = None
    ) -> Call | ConstantArray:
        """Return the call that draws an array.

        Args:
          values: values of the inputs of `output_slice`.
          aval: shape and dtype of the array.
          sharding: its sharding, or None.
        """
        number = self.output_slice.constant_value
        if number is not None:
            return ConstantArray(number, aval, sharding)
        arguments = tuple(values), self.output_slice.scalar_inputs
        if self.window is not None and is_in_host_memory(sharding):
            function = window_loop(_slice_function(self.window.slice, aval.dtype))
            program = Program((self.window.name, str(aval.dtype)), function, sharding)
            return Call(program, arguments, aval)
        function = _slice_function(self.array.slice, aval.dtype)
        return Call(Program((self.array.name, str(aval.dtype)), function, sharding), arguments)


def _slice_function(cut: Slice, dtype: np.dtype) -> Callable[..., Array]:
    def function(inputs: Sequence[Any], scalars: Sequence[Any], *window_start: Any) -> Array:
        array = cut.evaluate(inputs, scalars, *window_start)
        return array.astype(dtype) if array.dtype != dtype else array

    return function


class OutputDraws:
    """Draws of a computation by number of the output, each cut out when it is asked for.

    The programs of the first draws can thus compile while others are cut out. Structurally equal
    slices are analyzed once.
    """

    def __init__(self, cut_output: Callable[[int], Slice]) -> None:
        self._cut_output = cut_output
        self._by_output: dict[int, Draw] = {}
        self._by_structure: dict[Any, Draw] = {}

    def __getitem__(self, output: int) -> Draw:
        if output not in self._by_output:
            cut = self._cut_output(output)
            structure = graph_structure(cut.graph)
            if structure not in self._by_structure:
                self._by_structure[structure] = _prepare_draw(cut)
            self._by_output[output] = replace(self._by_structure[structure], output_slice=cut)
        return self._by_output[output]


def _prepare_draw(cut: Slice) -> Draw:
    array, window = cut.with_shape(cut.shape) or cut, cut.with_shape((WINDOW_SIZE,))
    return Draw(cut, _name_slice(array), window and _name_slice(window))


def _name_slice(cut: Slice) -> NamedSlice:
    return NamedSlice(cut, program_fingerprint(cut.graph))


def draw_graph(closed: ClosedJaxpr) -> Graph:
    """Return the graph of a traced computation that draws, with known scalars folded."""
    return fold_constants(Graph.eager_from_jaxpr(closed, FUSED_BITS_CALL))
