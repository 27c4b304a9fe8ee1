"""Evaluation of a graph with taps on intermediate values, those inside loops included."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax import lax

from jinit.model.control_flow import Scan
from jinit.model.graph import Graph
from jinit.model.operation import Operation, Place

Tap = Callable[[Sequence[Any], Any, Any], tuple[Any, Any]]
"""`tap(operands, result, probe) -> (replacement result, observation)`."""


def apply_taps(
    graph: Graph,
    inputs: Sequence[Any],
    taps: Mapping[Place, Tap],
    probes: Mapping[Place, Any] | None = None,
) -> tuple[list[Any], dict[Place, Any]]:
    """Evaluate a graph and apply taps to the results of some operations.

    Inside a loop a tap is applied in every iteration; its probe and its observation have an
    additional leading axis that enumerates iterations. The outputs may be differentiated with
    respect to probes: a tap with a custom derivative can expose gradients through its probe.

    Args:
      graph: the computation.
      inputs: its flat inputs.
      taps: taps by the place of the operation whose first result they observe.
      probes: the third argument of each tap, by place; None where there is none.

    Returns:
      The outputs, and the observations by place.

    >>> import jax.numpy as jnp
    >>> graph = Graph.from_function(lambda x: jnp.sin(x) + 1, jnp.zeros(3))
    >>> halve = {(0,): lambda operands, result, probe: (result / 2, result.shape)}
    >>> apply_taps(graph, [jnp.zeros(3)], halve)[1]
    {(0,): (3,)}
    """
    probes = probes or {}
    values = dict(zip(graph.inputs, inputs, strict=True)) | graph.constants
    observations: dict[Place, Any] = {}

    def read(operand: Any) -> Any:
        return values[operand] if isinstance(operand, int) else operand.val

    for position, operation in enumerate(graph.operations):
        operands = [read(operand) for operand in operation.operands]
        inner_taps = _inner_entries(taps, position)
        if inner_taps:
            inner_probes = _inner_entries(probes, position)
            results, inner = _run_loop(graph, operation, operands, inner_taps, inner_probes)
            observations |= {(position, *place): value for place, value in inner.items()}
        else:
            results = operation.bind(operands)
        place = (position,)
        if place in taps:
            results[0], observations[place] = taps[place](operands, results[0], probes.get(place))
        values.update(zip(operation.results, results, strict=True))
    return [read(output) for output in graph.outputs], observations


def _inner_entries(entries: Mapping[Place, Any], position: int) -> dict[Place, Any]:
    """Return the entries inside the operation at a position, by their place there."""
    return {
        place[1:]: value
        for place, value in entries.items()
        if len(place) > 1 and place[0] == position
    }


def _run_loop(
    graph: Graph,
    operation: Operation,
    operands: list[Any],
    taps: Mapping[Place, Tap],
    probes: dict[Place, Any],
) -> tuple[list[Any], dict[Place, Any]]:
    """Return the results of a loop over stacked operands, and the stacked observations."""
    scan, params = Scan.from_operation(operation, graph.flatten_body), operation.params
    constants = operands[: scan.constant_count]
    first_stacked = scan.constant_count + scan.carry_count

    def step(carry: list[Any], slices: tuple[list[Any], dict[Place, Any]]) -> tuple[Any, Any]:
        inputs, probe_slices = slices
        outputs, observations = apply_taps(
            scan.body, [*constants, *carry, *inputs], taps, probe_slices
        )
        return outputs[: scan.carry_count], (outputs[scan.carry_count :], observations)

    carry, (stacked, observations) = lax.scan(
        step,
        operands[scan.constant_count : first_stacked],
        (operands[first_stacked:], probes),
        params["length"],
        params["reverse"],
    )
    return [*carry, *stacked], observations
