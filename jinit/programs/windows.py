"""Reshape entrywise draws, so that one program for a window serves arrays of any shape."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from jinit.model import ELEMENTWISE, Graph, Operation
from jinit.programs.evaluate import is_random_bits
from jinit.programs.keys import THREEFRY_DTYPE

WINDOW_SIZE = 2**15
"""Entries of a window: few enough for a core's first caches, enough to keep it busy."""

_ENTRYWISE = ELEMENTWISE | {
    "shift_left",
    "shift_right_arithmetic",
    "shift_right_logical",
    "clz",
    "population_count",
    "bitcast_convert_type",
    "complex",
}
_MAX_ENTRIES = 2**32
"""Entries that a counter of 32 bits can number."""


def reshape_draw(graph: Graph, shape: tuple[int, ...]) -> Graph | None:
    """Return the same draw in another shape; None if it cannot be reshaped.

    Every entry has to be a function of the random bits at its own position, and of numbers that
    all entries share. Intermediate shapes are left out.

    Args:
      graph: a draw with one output.
      shape: shape of the output; it may have another number of entries.
    """
    reshaper = _DrawReshaper(graph, shape)
    for operation in graph.operations:
        if not reshaper.add_operation(operation):
            return None
    (output,) = graph.outputs
    output = reshaper.aliases.get(output, output) if isinstance(output, int) else None
    if not isinstance(output, int) or output not in reshaper.entry_values:
        return None  # a scalar, or an array that is not drawn entry by entry
    return replace(graph, operations=tuple(reshaper.operations), outputs=(output,))


class _DrawReshaper:
    """Collector of the operations of a draw in another shape."""

    def __init__(self, graph: Graph, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.operations: list[Operation] = []
        self.entry_values: set[int] = set()
        """Names of the values that have an entry at each position."""
        self.aliases: dict[int, Any] = {}
        """Operands that replace the results of reshapes, by name of the result."""
        avals = dict(zip(graph.inputs, graph.avals, strict=True)) | graph.constants
        self.dtypes = {name: str(aval.dtype) for name, aval in avals.items()}
        self.shapes: dict[int, tuple[int, ...]] = {
            name: tuple(aval.shape) for name, aval in avals.items()
        }
        self.size: int | None = None
        """Number of entries before reshaping, once it is known."""

    def add_operation(self, operation: Operation) -> bool:
        """Add an operation if it is needed; return False if it cannot be reshaped."""
        operands = [self.aliases.get(o, o) if type(o) is int else o for o in operation.operands]
        if self._is_reshape(operation, operands):
            self.aliases[operation.results[0]] = operands[0]
            return True
        if _is_scalar_broadcast(operation):
            return self._add_entrywise(operation, operands)
        if is_random_bits(operation):
            return self._is_threefry_key(operands[0]) and self._add_entrywise(operation, operands)
        is_entrywise = operation.primitive.name in _ENTRYWISE
        is_entrywise = is_entrywise and all(map(self._has_entries, operands))
        if any(type(o) is int and o in self.entry_values for o in operands):
            return is_entrywise and self._add_entrywise(operation, operands)
        if is_entrywise and len(operation.results) == 1:
            self._append_operation(operation, operands, ())
            return True
        return self._keep_operation(operation, operands)

    def _is_reshape(self, operation: Operation, operands: list[Any]) -> bool:
        """Return whether an operation keeps the same entries in the same order."""
        if operation.primitive.name not in ("broadcast_in_dim", "reshape"):
            return False
        has_same_size = math.prod(operation.shapes[0]) == math.prod(operation.operand_shapes[0])
        return has_same_size and self._has_entries(operands[0])

    def _has_entries(self, operand: Any) -> bool:
        """Return whether an operand has an entry at each position, or is a scalar."""
        if type(operand) is not int:
            return np.ndim(operand.val) == 0
        return operand in self.entry_values or self.shapes[operand] == ()

    def _is_threefry_key(self, operand: Any) -> bool:
        """Return whether an operand is one threefry key, or the data of one."""
        dtype, shape = self.dtypes.get(operand), self.shapes.get(operand)
        return (dtype, shape) in ((THREEFRY_DTYPE, ()), ("uint32", (2,)))

    def _add_entrywise(self, operation: Operation, operands: list[Any]) -> bool:
        """Add an operation in the new shape; return False if its size is not that of the draw."""
        size = math.prod(operation.shapes[0])
        self.size = self.size or size
        if len(operation.results) > 1 or size != self.size or size > _MAX_ENTRIES:
            return False
        self.entry_values.update(operation.results)
        self._append_operation(operation, operands, self.shape)
        return True

    def _append_operation(
        self, operation: Operation, operands: list[Any], shape: tuple[int, ...]
    ) -> None:
        """Append an operation with all shape parameters replaced."""
        params = {name: value for name, value in operation.params.items() if name != "jaxpr"}
        settings = {"shape": shape, "broadcast_dimensions": ()}
        params |= {name: settings[name] for name in params.keys() & settings.keys()}
        operand_shapes = tuple(self.shapes[o] if type(o) is int else () for o in operands)
        self.shapes |= dict.fromkeys(operation.results, shape)
        changes: dict[str, Any] = {"shapes": (shape,), "operand_shapes": operand_shapes}
        reshaped = replace(operation, params=params, operands=tuple(operands), **changes)
        self.operations.append(reshaped)

    def _keep_operation(self, operation: Operation, operands: list[Any]) -> bool:
        """Append an operation unchanged; return False if an operand of it was replaced."""
        self.dtypes |= zip(operation.results, operation.dtypes, strict=True)
        self.shapes |= zip(operation.results, operation.shapes, strict=True)
        self.operations.append(operation)
        return operands == list(operation.operands)


def _is_scalar_broadcast(operation: Operation) -> bool:
    """Return whether an operation makes an array from a scalar."""
    return operation.primitive.name == "broadcast_in_dim" and operation.operand_shapes[0] == ()
