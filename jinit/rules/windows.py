"""Draws that make each entry for itself: one program for a window of entries serves every shape."""

import math
from dataclasses import replace
from typing import Any

from jinit.model import ELEMENTWISE, Graph, Operation
from jinit.rules.evaluate import draws_words

SIZE = 2**17
"""Entries of a window: few enough for a core's own cache, enough to keep it busy."""

_LARGEST = 2**32
"""Entries that one word can count."""
_ANYWHERE = {"shape": (SIZE,), "broadcast_dimensions": ()}
"""Settings that say the shape of an operation, as they are for a window."""
_FUSED = "key<fry>"
"""Keys whose words jinit makes itself."""


def window_of(graph: Graph) -> Graph | None:
    """The same draw for `SIZE` entries in a row, whatever the shape; None if there is no such.

    Every entry has to be a function of the random words at its own position, and of numbers that
    all entries share.
    """
    lifting = _Lifting(graph)
    (output,) = graph.outputs
    if not all(map(lifting.take, graph.operations)) or not isinstance(output, int):
        return None
    if output not in lifting.names:
        return None
    return replace(graph, operations=tuple(lifting.operations), outputs=(lifting.names[output],))


class _Lifting:
    """The operations of a window, one by one."""

    def __init__(self, graph: Graph) -> None:
        self.operations: list[Operation] = []
        self.names: dict[Any, int] = {}
        """Values that have an entry at each position, and their names in the window."""
        self.dtypes = dict(
            zip(graph.inputs, (str(aval.dtype) for aval in graph.avals), strict=True)
        )
        self.size: int | None = None

    def take(self, operation: Operation) -> bool:
        """Add what a window needs of an operation; False if that cannot be said."""
        name = operation.primitive.name
        inside = [o for o in operation.operands if isinstance(o, int) and o in self.names]
        if draws_words(operation):
            return not inside and self._from_one_key(operation) and self._lift(operation)
        if name == "broadcast_in_dim" and operation.operand_shapes == ((),) and not inside:
            return self._lift(operation)
        if not inside:
            self.dtypes |= zip(operation.results, operation.dtypes, strict=True)
            self.operations.append(operation)
            return True
        if name == "reshape":
            self.names[operation.results[0]] = self.names[inside[0]]
            return True
        operands = zip(operation.operands, operation.operand_shapes, strict=True)
        alike = all(shape == () or operand in inside for operand, shape in operands)
        return name in ELEMENTWISE and alike and self._lift(operation)

    def _from_one_key(self, operation: Operation) -> bool:
        key, shape = operation.operands[0], operation.operand_shapes[0]
        return (self.dtypes.get(key), shape) in ((_FUSED, ()), ("uint32", (2,)))

    def _lift(self, operation: Operation) -> bool:
        """The operation on windows: nothing in it says the shape any more."""
        size = math.prod(operation.shapes[0])
        self.size = self.size or size
        if len(operation.results) > 1 or size != self.size or size > _LARGEST:
            return False
        params = {name: value for name, value in operation.params.items() if name != "jaxpr"}
        params |= {name: _ANYWHERE[name] for name in params.keys() & _ANYWHERE.keys()}
        operands = tuple(
            self.names.get(o, o) if isinstance(o, int) else o for o in operation.operands
        )
        inside = tuple(
            (SIZE,) if o in self.names.values() else shape
            for o, shape in zip(operands, operation.operand_shapes, strict=True)
        )
        (result,) = operation.results
        self.names[result] = result
        self.operations.append(
            replace(
                operation,
                params=params,
                operands=operands,
                shapes=((SIZE,),),
                operand_shapes=inside,
            )
        )
        return True
