"""Draws that make each entry for itself, in another shape: a program for a window serves all."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from jinit.model import ELEMENTWISE, Graph, Operation
from jinit.rules.evaluate import draws_words

SIZE = 2**15
"""Entries of a window: few enough for a core's first caches, enough to keep it busy."""

_ENTRYWISE = ELEMENTWISE | {
    *("shift_left", "shift_right_arithmetic", "shift_right_logical", "clz", "population_count"),
    *("bitcast_convert_type", "complex"),
}
_LARGEST = 2**32
"""Entries that one word can count."""
_FUSED = "key<fry>"
"""Keys whose words jinit makes itself."""


def lifted(graph: Graph, shape: tuple[int, ...]) -> Graph | None:
    """The same draw in another shape; None if there is no such.

    Every entry has to be a function of the random words at its own position, and of numbers that
    all entries share. Other shapes on the way to the result are left out.
    """
    lifting = _Lifting(graph, shape)
    if not all(map(lifting.take, graph.operations)):
        return None
    (output,) = graph.outputs
    output = lifting.names.get(output, output) if isinstance(output, int) else None
    if not isinstance(output, int) or output not in lifting.entries:
        return None  # one number, or something that is not made entry by entry
    return replace(graph, operations=tuple(lifting.operations), outputs=(output,))


class _Lifting:
    """The operations in the other shape, one by one."""

    def __init__(self, graph: Graph, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.operations: list[Operation] = []
        self.entries: set[int] = set()
        """Values that have an entry at each position."""
        self.names: dict[int, Any] = {}
        """Values that are there already, and what they are called."""
        avals = dict(zip(graph.inputs, graph.avals, strict=True)) | graph.constants
        self.dtypes = {name: str(aval.dtype) for name, aval in avals.items()}
        self.shapes: dict[int, tuple[int, ...]] = {
            name: tuple(aval.shape) for name, aval in avals.items()
        }
        self.size: int | None = None

    def take(self, operation: Operation) -> bool:
        """Add an operation, as far as it is needed; False if it cannot be had in the shape."""
        operands = [self.names.get(o, o) if type(o) is int else o for o in operation.operands]
        if self._is_there(operation, operands):
            return True
        if draws_words(operation) or _spreads(operation):
            return self._is_single(operation, operands) and self._lift(operation, operands)
        alone = not any(type(o) is int and o in self.entries for o in operands)
        alike = operation.primitive.name in _ENTRYWISE and all(map(self._fits, operands))
        if not alone:
            return alike and self._lift(operation, operands)
        if alike and len(operation.results) == 1:
            self._add(operation, operands, ())
            return True
        self.dtypes |= zip(operation.results, operation.dtypes, strict=True)
        self.shapes |= zip(operation.results, operation.shapes, strict=True)
        self.operations.append(operation)
        return operands == list(operation.operands)

    def _is_there(self, operation: Operation, operands: list[Any]) -> bool:
        """Whether this only says another shape for the same entries in the same order."""
        if operation.primitive.name not in ("broadcast_in_dim", "reshape"):
            return False
        same = math.prod(operation.shapes[0]) == math.prod(operation.operand_shapes[0])
        if not same or not self._fits(operands[0]):
            return False
        self.names[operation.results[0]] = operands[0]
        return True

    def _fits(self, operand: Any) -> bool:
        """Whether it has an entry at each position, or is one number."""
        if type(operand) is not int:
            return np.ndim(operand.val) == 0
        return operand in self.entries or self.shapes[operand] == ()

    def _is_single(self, operation: Operation, operands: list[Any]) -> bool:
        """Whether it is made of one number, or of the one key whose words it draws."""
        if _spreads(operation):
            return True
        key = operands[0]
        return (self.dtypes.get(key), self.shapes.get(key)) in ((_FUSED, ()), ("uint32", (2,)))

    def _lift(self, operation: Operation, operands: list[Any]) -> bool:
        """The operation in the shape, if it makes an array of the one size that there is."""
        size = math.prod(operation.shapes[0])
        self.size = self.size or size
        if len(operation.results) > 1 or size != self.size or size > _LARGEST:
            return False
        self.entries.update(operation.results)
        self._add(operation, operands, self.shape)
        return True

    def _add(self, operation: Operation, operands: list[Any], shape: tuple[int, ...]) -> None:
        """The operation in another shape; nothing in it says the old one any more."""
        params = {name: value for name, value in operation.params.items() if name != "jaxpr"}
        settings = {"shape": shape, "broadcast_dimensions": ()}
        params |= {name: settings[name] for name in params.keys() & settings.keys()}
        given = tuple(self.shapes[o] if type(o) is int else () for o in operands)
        self.shapes |= dict.fromkeys(operation.results, shape)
        changes: dict[str, Any] = {"shapes": (shape,), "operand_shapes": given}
        changed = replace(operation, params=params, operands=tuple(operands), **changes)
        self.operations.append(changed)


def _spreads(operation: Operation) -> bool:
    """Whether this makes an array of one number."""
    return operation.primitive.name == "broadcast_in_dim" and operation.operand_shapes[0] == ()
