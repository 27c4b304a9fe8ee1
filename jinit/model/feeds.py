"""Which layer feeds which, whatever operations lie between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jinit.model.contractions import Contraction, LayerUse
from jinit.model.control_flow import Scan
from jinit.model.graph import Graph
from jinit.model.operation import Operation, Place


class Suppliers(NamedTuple):
    """The layers and the inputs of the graph that a signal depends on, with no layer in between."""

    layers: tuple[int, ...]
    """Numbers of layers, earlier in the order of execution."""
    inputs: tuple[int, ...]
    """Indices of the graph's inputs, parameters included."""


@dataclass(frozen=True)
class Feeds:
    """The graph of the layers of a network."""

    order: tuple[int, ...]
    """Numbers of the layers in the order of execution: each follows the layers that feed it."""
    suppliers: tuple[Suppliers, ...]
    """The suppliers of each layer, by its number."""
    outputs: Suppliers
    """The suppliers of the outputs of the network."""


def find_feeds(
    graph: Graph, contractions: Sequence[Contraction], layers: Sequence[LayerUse]
) -> Feeds:
    """Return the graph of the layers of a network.

    A loop over stacked kernels counts as its iterations, one after the other. In any other loop a
    layer does not feed itself or an earlier one.

    Args:
      graph: the computation.
      contractions: its products of weights with signals.
      layers: the layers: contractions, or iterations of contractions.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> def apply(w, x):
    ...     h = x @ w[0]
    ...     return (h.sum(0)[None] + x @ w[1]) @ w[2]
    >>> feeds = trace(apply, list(jnp.ones((3, 4, 4))), jnp.ones((8, 4))).feeds
    >>> feeds.suppliers[2].layers, feeds.outputs.layers
    ((0, 1), (2,))
    """
    return _FeedsWalk(contractions, layers).find(graph)


class _FeedsWalk:
    """A pass over a graph that carries, for each value, a bit mask of what it depends on."""

    def __init__(self, contractions: Sequence[Contraction], layers: Sequence[LayerUse]) -> None:
        self.contractions = {each.place: each for each in contractions}
        self.numbers = {
            (contractions[layer.contraction].place, layer.iteration): number
            for number, layer in enumerate(layers)
        }
        self.count = len(layers)
        self.masks: dict[int, int] = {}  # in the order of execution

    def find(self, graph: Graph) -> Feeds:
        inputs = [1 << self.count + number for number in range(len(graph.inputs))]
        outputs = 0
        for mask in self._follow(graph, inputs, (), None):
            outputs |= mask
        order = tuple(self.masks)
        ranks = {number: rank for rank, number in enumerate(order)}
        return Feeds(
            order=order,
            suppliers=tuple(
                self._read(self.masks.get(number, 0), ranks, ranks.get(number, 0))
                for number in range(self.count)
            ),
            outputs=self._read(outputs, ranks, self.count),
        )

    def _read(self, mask: int, ranks: dict[int, int], rank: int) -> Suppliers:
        bits = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
        return Suppliers(
            tuple(bit for bit in bits if bit < self.count and ranks[bit] < rank),
            tuple(bit - self.count for bit in bits if bit >= self.count),
        )

    def _follow(
        self, graph: Graph, inputs: Sequence[int], outer: Place, iteration: int | None
    ) -> list[int]:
        """Return the masks of a graph's outputs.

        Args:
          graph: the computation.
          inputs: masks of its inputs.
          outer: positions of the enclosing loops.
          iteration: number of the iteration over all enclosing loops; None outside of loops over
            stacked kernels.
        """
        masks = dict.fromkeys(graph.constants, 0) | dict(zip(graph.inputs, inputs, strict=True))

        def read(operand: object) -> int:
            return masks[operand] if isinstance(operand, int) else 0

        for position, operation in enumerate(graph.operations):
            place = (*outer, position)
            operands = list(map(read, operation.operands))
            if place in self.contractions:
                results = [self._enter_layer(place, iteration, operands)]
            elif self._is_loop(place):
                results = self._follow_loop(graph, operation, operands, place, iteration)
            else:
                union = 0
                for mask in operands:
                    union |= mask
                results = [union] * len(operation.results)
            masks.update(zip(operation.results, results, strict=True))
        return [read(output) for output in graph.outputs]

    def _enter_layer(self, place: Place, iteration: int | None, operands: list[int]) -> int:
        number = self.numbers.get((place, iteration), self.numbers.get((place, None)))
        if number is None:
            return 0
        signal = operands[self.contractions[place].signal_operand]
        self.masks[number] = self.masks.get(number, 0) | signal
        return 1 << number

    def _is_loop(self, place: Place) -> bool:
        return any(each[: len(place)] == place for each in self.contractions)

    def _follow_loop(
        self,
        graph: Graph,
        operation: Operation,
        operands: list[int],
        place: Place,
        iteration: int | None,
    ) -> list[int]:
        scan = Scan.from_operation(operation, graph.flatten_body)
        first_stacked = scan.constant_count + scan.carry_count
        constants, carry = operands[: scan.constant_count], operands[scan.constant_count :]
        carry, slices = carry[: scan.carry_count], operands[first_stacked:]
        stacked = [0] * (len(operation.results) - scan.carry_count)
        for number in self._iterations(operation, place, iteration):
            results = self._follow(scan.body, [*constants, *carry, *slices], place, number)
            carry = results[: scan.carry_count]
            stacked = [
                old | new for old, new in zip(stacked, results[scan.carry_count :], strict=True)
            ]
        return [*carry, *stacked]

    def _iterations(
        self, operation: Operation, place: Place, iteration: int | None
    ) -> list[int | None]:
        """Return the numbers of a loop's iterations over all enclosing loops, in order.

        A loop whose layers are the same in all iterations is followed twice: then everything that
        is carried from one iteration to the next has reached every layer.
        """
        if not any(
            each.is_stacked and each.place[: len(place)] == place
            for each in self.contractions.values()
        ):
            return [None, None]
        length = operation.params["length"]
        numbers: list[int | None] = [(iteration or 0) * length + n for n in range(length)]
        return numbers[::-1] if operation.params["reverse"] else numbers
