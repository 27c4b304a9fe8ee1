"""The operations from which a signal is computed, those in loops included, back to its layers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jinit.model.control_flow import Scan
from jinit.model.graph import Graph
from jinit.model.operation import Operation, Place


class FlowValue(NamedTuple):
    """An operand or an output somewhere in a computation."""

    outer: Place
    """Positions of the enclosing loops."""
    operand: Any
    """Number of a value in the graph of that loop, or a literal."""


class Producers(NamedTuple):
    """The producers of a value: several operations where a loop carries it."""

    places: tuple[Place, ...] = ()
    inputs: tuple[int, ...] = ()
    """Indices of the graph's inputs."""


@dataclass(frozen=True)
class Dataflow:
    """A computation and its loops, in which every signal is followed to the operations before it.

    Loops that contain layers are entered, all others are single operations.

    >>> import jax.numpy as jnp
    >>> graph = Graph.from_function(lambda x: jnp.sin(x) + 1, jnp.zeros(3))
    >>> flow = Dataflow(graph, frozenset())
    >>> flow.producers(FlowValue((), graph.outputs[0]))
    Producers(places=((1,),), inputs=())
    >>> flow.operations_before([FlowValue((), graph.outputs[0])])
    [(0,), (1,)]
    """

    graph: Graph
    layers: frozenset[Place]
    """Places of the layers, where the way back ends."""
    _graphs: dict[Place, Graph] = field(default_factory=dict)

    def body(self, outer: Place) -> Graph:
        """Return the graph of a loop, given the positions of the loop and its enclosing loops."""
        if not outer:
            return self.graph
        if outer not in self._graphs:
            self._graphs[outer] = self._loop(outer).body
        return self._graphs[outer]

    def operation(self, place: Place) -> Operation:
        """Return the operation at a place."""
        return self.body(place[:-1]).operations[place[-1]]

    def operands(self, place: Place) -> list[FlowValue]:
        """Return the operands of the operation at a place."""
        return [FlowValue(place[:-1], operand) for operand in self.operation(place).operands]

    def operand_places(self, place: Place) -> set[Place]:
        """Return the operations that produce the operands of the operation at a place."""
        return {each for operand in self.operands(place) for each in self.producers(operand).places}

    def producers(self, signal: FlowValue) -> Producers:
        """Return the operations and the inputs of the graph that produce a signal."""
        places: dict[Place, None] = {}
        inputs: dict[int, None] = {}
        waiting, seen = [signal], set()
        while waiting:
            outer, operand = current = waiting.pop()
            if not isinstance(operand, int) or current in seen:
                continue
            seen.add(current)
            graph = self.body(outer)
            if operand in graph.inputs:
                if outer:
                    waiting += self._before_body(outer, graph.inputs.index(operand))
                else:
                    inputs[graph.inputs.index(operand)] = None
            elif operand in graph.producers:
                place = (*outer, self._positions(outer)[operand])
                if self._is_entered(place):
                    waiting.append(self._body_output(place, operand))
                else:
                    places[place] = None
        return Producers(tuple(places), tuple(inputs))

    def operations_before(self, signals: Iterable[FlowValue]) -> list[Place]:
        """Return the places of all operations before some signals, in order.

        The layers at which the way back ends are part of them.
        """
        found: set[Place] = set()
        waiting = [place for signal in signals for place in self.producers(signal).places]
        while waiting:
            place = waiting.pop()
            if place in found:
                continue
            found.add(place)
            if place not in self.layers:
                waiting += self.operand_places(place)
        return sorted(found)

    def _loop(self, place: Place) -> Scan:
        return Scan.from_operation(self.operation(place), self.graph.flatten_body)

    def _positions(self, outer: Place) -> dict[int, int]:
        return _positions(self.body(outer).operations)

    def _is_entered(self, place: Place) -> bool:
        return self.operation(place).name == "scan" and any(
            layer[: len(place)] == place and len(layer) > len(place) for layer in self.layers
        )

    def _body_output(self, place: Place, result: int) -> FlowValue:
        number = self.operation(place).results.index(result)
        return FlowValue(place, self.body(place).outputs[number])

    def _before_body(self, place: Place, number: int) -> list[FlowValue]:
        """Return what the input of a loop's body is: an operand of the loop, and for a carried
        value also its result of the iteration before."""
        signals = [FlowValue(place[:-1], self.operation(place).operands[number])]
        scan = self._loop(place)
        carried = number - scan.constant_count
        if 0 <= carried < scan.carry_count:
            signals.append(FlowValue(place, self.body(place).outputs[carried]))
        return signals


def _positions(operations: Sequence[Operation]) -> dict[int, int]:
    """Return the position of the operation that produces each value."""
    return {
        result: position
        for position, operation in enumerate(operations)
        for result in operation.results
    }
