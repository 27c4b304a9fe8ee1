"""Evaluate a computation that draws, with random bits from jinit's sampler instead of JAX's."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.model import Graph, Operation, Scan
from jinit.programs.keys import is_threefry, is_typed_key, key_data
from jinit.sampling import FUSED_BITS_CALL, draw_bits, fused_bits, fused_bits_range, pin_rounding


def draw_outputs(graph: Graph, inputs: Sequence[Any], window_start: Any = None) -> list[Any]:
    """Return the outputs of a graph, each stored value rounded to its dtype.

    Args:
      graph: the computation.
      inputs: values of its inputs.
      window_start: for a graph that draws one window, the number of its first entry.
    """
    values = dict(zip(graph.inputs, inputs, strict=True)) | graph.constants

    def read(operand: Any) -> Any:
        return values[operand] if isinstance(operand, int) else operand.val

    used = _used_names(graph)
    for operation in graph.operations:
        operands = [read(operand) for operand in operation.operands]
        results = _evaluate_operation(operation, operands, used, window_start)
        for name, result in zip(operation.results, results, strict=True):
            is_stored = name in graph.stored_values and result is not None
            values[name] = _round_value(result) if is_stored else result
    return [read(output) for output in graph.outputs]


def _used_names(graph: Graph) -> set[int]:
    """Return the names of the values that operations or outputs of a graph use."""
    used = {o for operation in graph.operations for o in operation.operands if isinstance(o, int)}
    return used | {output for output in graph.outputs if isinstance(output, int)}


def _evaluate_operation(
    operation: Operation, operands: list[Any], used: set[int], window_start: Any
) -> list[Any]:
    if is_random_bits(operation) and is_threefry(operands[0]):
        return [_draw_bits(operation, operands[0], window_start)]
    if operation.primitive.name == "scan":
        return _evaluate_scan(operation, operands, [result in used for result in operation.results])
    return operation.bind(operands)


def is_random_bits(operation: Operation) -> bool:
    """Return whether an operation draws random bits that jinit's sampler can draw.

    It is JAX's primitive, or jinit's own call for one key. Under vmap that call has the data of
    several keys, along any axis, and is evaluated like every other call.
    """
    if operation.params.get("name") == FUSED_BITS_CALL:
        return operation.operand_shapes == ((2,),)
    return operation.primitive.name == "random_bits"


def _draw_bits(operation: Operation, key: Array, window_start: Any) -> Array:
    """Return the bits of one key, of a window of them, or of an array of typed keys."""
    (shape,), (dtype,) = operation.shapes, operation.dtypes
    if window_start is not None:
        return fused_bits_range(key_data(key), window_start, math.prod(shape), dtype)
    if not is_typed_key(key):
        return fused_bits(key, shape, np.dtype(dtype))

    def draw(key: Array) -> Array:
        return draw_bits(key, shape[key_rank:], dtype)

    key_rank = key.ndim
    for _ in range(key_rank):
        draw = jax.vmap(draw)
    return draw(key)


def _round_value(value: Any) -> Any:
    # Values of eight bits are not rounded again, which would make subnormal numbers zero.
    is_wide = jnp.issubdtype(value.dtype, jnp.inexact) and value.dtype.itemsize > 1
    return pin_rounding(value) if is_wide else value


def _evaluate_scan(operation: Operation, operands: list[Any], is_used: list[bool]) -> list[Any]:
    """Return the results of a scan that are used; None for the others.

    Outputs that nothing uses, such as those of the layers at initialization, are not computed.
    """
    scan, params = Scan.from_operation(operation, Graph.primal_from_jaxpr), operation.params
    body, constants, carried = scan.body, scan.constant_count, scan.carry_count
    first_slice = constants + carried
    outputs, inputs = _find_needed(body, is_used, constants, carried)
    needed_body = replace(body, outputs=tuple(body.outputs[number] for number in outputs)).prune()
    carries = [number for number in outputs if number < carried]
    sliced = [number for number in inputs if number >= first_slice]

    def step(carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        values: list[Any] = [*operands[:constants], *[None] * (len(operands) - constants)]
        for number, value in zip(carries, carry, strict=True):
            values[constants + number] = value
        for number, value in zip(sliced, slices, strict=True):
            values[number] = value
        results = draw_outputs(needed_body, values)
        return results[: len(carries)], results[len(carries) :]

    last, stacked = lax.scan(
        step,
        [operands[constants + number] for number in carries],
        [operands[number] for number in sliced],
        params["length"],
        params["reverse"],
    )
    results: list[Any] = [None] * len(is_used)
    for number, value in zip(outputs, [*last, *stacked], strict=True):
        results[number] = value
    return results


def _find_needed(
    body: Graph, is_used: Iterable[bool], constants: int, carried: int
) -> tuple[list[int], list[int]]:
    """Return the numbers of a loop body's outputs and inputs that are needed.

    A carried input that is needed makes the output that carries it needed in turn.
    """
    needed = {number for number, used in enumerate(is_used) if used}
    while True:
        outputs = tuple(body.outputs[number] for number in sorted(needed))
        read = _used_names(replace(body, outputs=outputs).prune())
        inputs = [number for number, name in enumerate(body.inputs) if name in read]
        carries = {number - constants for number in inputs}
        carries = {number for number in carries if 0 <= number < carried}
        if carries <= needed:
            return sorted(needed), inputs
        needed |= carries
