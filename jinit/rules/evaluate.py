"""Evaluation of a computation that draws, with jinit's random words in place of JAX's."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.model import Graph, Operation, Scan
from jinit.sampling import WORDS, bits, fence, random_words, words_from


def drawn(graph: Graph, inputs: Sequence[Any], start: Any = None) -> list[Any]:
    """The graph's outputs, from jinit's own random words, rounded wherever a value is stored.

    Of a graph of a window, the window that begins at entry `start`.
    """
    values = dict(zip(graph.inputs, inputs, strict=True)) | graph.constants

    def read(operand: Any) -> Any:
        return values[operand] if isinstance(operand, int) else operand.val

    used = {o for operation in graph.operations for o in operation.operands if isinstance(o, int)}
    used |= {output for output in graph.outputs if isinstance(output, int)}
    for operation in graph.operations:
        operands = [read(operand) for operand in operation.operands]
        results = _results(operation, operands, used, start)
        for name, result in zip(operation.results, results, strict=True):
            stored = name in graph.stored and result is not None
            values[name] = _rounded(result) if stored else result
    return [read(output) for output in graph.outputs]


def _results(operation: Operation, operands: list[Any], used: set[int], start: Any) -> list[Any]:
    if draws_words(operation):
        return [_words(operation, operands[0], start)]
    if operation.primitive.name == "scan":
        return _scan(operation, operands, [result in used for result in operation.results])
    return operation.bind(operands)


def draws_words(operation: Operation) -> bool:
    """Whether this makes random words of a key: JAX's own operation, or jinit's call."""
    return operation.primitive.name == "random_bits" or operation.params.get("name") == WORDS


def _words(operation: Operation, key: Array, start: Any) -> Array:
    (shape,), (dtype,) = operation.shapes, operation.dtypes
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if start is not None:
        data = jax.random.key_data(key) if typed else key
        return words_from(data, start, math.prod(shape), dtype)
    if not typed:
        return random_words(key, shape, np.dtype(dtype))

    def draw(key: Array) -> Array:
        return bits(key, shape[key_rank:], dtype)

    key_rank = key.ndim
    for _ in range(key_rank):
        draw = jax.vmap(draw)
    return draw(key)


def _rounded(value: Any) -> Any:
    # Eight bits are left alone: rounding to them once more would make subnormal numbers zero.
    wide = jnp.issubdtype(value.dtype, jnp.inexact) and value.dtype.itemsize > 1
    return fence(value) if wide else value


def _scan(operation: Operation, operands: list[Any], wanted: list[bool]) -> list[Any]:
    """The loop without what nobody asked for, such as the layers' outputs at initialization."""
    scan, params = Scan.of(operation, Graph.within), operation.params
    body, fixed, carried = scan.body, scan.fixed, scan.carried
    first = fixed + carried
    keep, needed = _needed(body, wanted, fixed, carried)
    inside = replace(body, outputs=tuple(body.outputs[place] for place in keep)).pruned()
    carries = [place for place in keep if place < carried]
    steps = [place for place in needed if place >= first]

    def step(carry: list[Any], xs: list[Any]) -> tuple[list[Any], list[Any]]:
        inputs: list[Any] = [*operands[:fixed], *[None] * (len(operands) - fixed)]
        for place, value in zip(carries, carry, strict=True):
            inputs[fixed + place] = value
        for place, value in zip(steps, xs, strict=True):
            inputs[place] = value
        outputs = drawn(inside, inputs)
        return outputs[: len(carries)], outputs[len(carries) :]

    start = [operands[fixed + place] for place in carries]
    last, stacked = lax.scan(
        step, start, [operands[place] for place in steps], params["length"], params["reverse"]
    )
    results: list[Any] = [None] * len(wanted)
    for place, value in zip(keep, [*last, *stacked], strict=True):
        results[place] = value
    return results


def _needed(
    body: Graph, wanted: Iterable[bool], fixed: int, carried: int
) -> tuple[list[int], list[int]]:
    """Outputs of a loop's body that are needed, and the inputs they need, carries included."""
    keep = {place for place, each in enumerate(wanted) if each}
    while True:
        outputs = tuple(body.outputs[place] for place in sorted(keep))
        cut = replace(body, outputs=outputs).pruned()
        read = {o for operation in cut.operations for o in operation.operands if isinstance(o, int)}
        read |= {output for output in outputs if isinstance(output, int)}
        inputs = [place for place, name in enumerate(body.inputs) if name in read]
        wider = keep | {place - fixed for place in inputs if fixed <= place < fixed + carried}
        if wider == keep:
            return sorted(keep), inputs
        keep = wider
