"""Modulated kernels: parameters that a signal multiplies before they meet another signal."""

from collections.abc import Sequence
from typing import Any

from jinit.model.graph import Graph
from jinit.model.known_values import KnownValue
from jinit.model.operation import Operation
from jinit.model.primitives import PRODUCTS
from jinit.model.weight_axes import TrackedWeight, broadcast_weight


def modulated_weights(
    graph: Graph, operation: Operation, operands: Sequence[KnownValue]
) -> tuple[TrackedWeight, ...]:
    """Return the parameters that are still kernels after a product with a signal.

    The signal is the same along one of their axes, such as the outputs, so that the product is a
    kernel of each example, as in StyleGAN2. A scale has no axis that the signal lacks.

    Args:
      graph: the computation.
      operation: the operation.
      operands: what is known of its operands.
    """
    numbers = [n for n, value in enumerate(operands) if value.weights or value.chosen_weights]
    if operation.name not in PRODUCTS or len(numbers) != 1:
        return ()
    (number,) = numbers
    before, after = operation.operand_shapes[number], operation.shapes[0]
    repeated = _repeated_axes(graph, operation.operands[1 - number])
    weights = operands[number].weights or operands[number].chosen_weights
    moved = [broadcast_weight(weight, before, after) for weight in weights]
    return tuple(weight for weight in moved if _lies_along(weight, repeated))


def _repeated_axes(graph: Graph, value: Any) -> set[int]:
    """Return the axes along which all entries of a value are equal, as far as can be seen."""
    operation = graph.producers.get(value) if isinstance(value, int) else None
    if operation is None:
        return set()
    after = operation.shapes[operation.results.index(value)]
    alone = {axis for axis, size in enumerate(after) if size == 1}
    if operation.name != "broadcast_in_dim":
        return alone
    targets = operation.params["broadcast_dimensions"]
    inner = _repeated_axes(graph, operation.operands[0])
    sizes = operation.operand_shapes[0]
    varying = {
        target for axis, target in enumerate(targets) if sizes[axis] > 1 and axis not in inner
    }
    return set(range(len(after))) - varying


def _lies_along(weight: TrackedWeight, axes: set[int]) -> bool:
    """Return whether a parameter has entries of its own along one of the axes."""
    return any(
        segment.size > 1
        for axis, segments in enumerate(weight.axes or ())
        if axis in axes
        for segment in segments
    )
