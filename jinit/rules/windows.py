"""Draws that make each entry for itself: one program for a window of entries serves every shape."""

import math
from dataclasses import replace
from typing import Any

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
    if output not in lifting.entries:
        return None
    return replace(graph, operations=tuple(lifting.operations), outputs=(output,))


class _Lifting:
    """The operations in the other shape, one by one."""

    def __init__(self, graph: Graph, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.operations: list[Operation] = []
        self.entries: set[int] = set()
        """Values that have an entry at each position."""
        self.names: dict[int, Any] = {}
        """What values are called in the window that are there already under another name."""
        self.dtypes = dict(
            zip(graph.inputs, (str(aval.dtype) for aval in graph.avals), strict=True)
        )
        self.size: int | None = None

    def take(self, operation: Operation) -> bool:
        """Add what a window needs of an operation; False if that cannot be said."""
        name, (shape, *others) = operation.primitive.name, operation.shapes
        operands = [self.names.get(o, o) if type(o) is int else o for o in operation.operands]
        inside = [o for o in operands if type(o) is int and o in self.entries]
        if name in ("broadcast_in_dim", "reshape"):
            size = math.prod(shape)
            if size == math.prod(operation.operand_shapes[0]) and (inside or size == 1):
                self.names[operation.results[0]] = operands[0]
                return True
        if draws_words(operation):
            return not inside and self._from_one_key(operation) and self._lift(operation, operands)
        if name == "broadcast_in_dim" and operation.operand_shapes[0] == ():
            return self._lift(operation, operands)
        given = zip(operands, operation.operand_shapes, strict=True)
        alike = all(math.prod(shape) == 1 or operand in inside for operand, shape in given)
        if inside:
            return name in _ENTRYWISE and alike and self._lift(operation, operands)
        if name in _ENTRYWISE and math.prod(shape) == 1 and not others:
            self._add(operation, operands, ())
            return True
        self.dtypes |= zip(operation.results, operation.dtypes, strict=True)
        self.operations.append(operation)
        return operands == list(operation.operands)

    def _from_one_key(self, operation: Operation) -> bool:
        key, shape = operation.operands[0], operation.operand_shapes[0]
        return (self.dtypes.get(key), shape) in ((_FUSED, ()), ("uint32", (2,)))

    def _lift(self, operation: Operation, operands: list[Any]) -> bool:
        """The operation on windows, if it makes an array of the one size that there is."""
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
        given = zip(operands, operation.operand_shapes, strict=True)
        inside = tuple(
            self.shape if type(o) is int and o in self.entries else () if math.prod(s) == 1 else s
            for o, s in given
        )
        changes: dict[str, Any] = {"shapes": (shape,), "operand_shapes": inside}
        changed = replace(operation, params=params, operands=tuple(operands), **changes)
        self.operations.append(changed)
