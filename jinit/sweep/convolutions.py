"""Convolutions in the layout of axes that XLA on CPU computes fast, inside loops too."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import jax
import jax.extend.core as jex
import jax.numpy as jnp
from jax import Array, lax

from jinit.model import Graph, Operation

_P = ParamSpec("_P")
_R = TypeVar("_R")

_CONVOLUTION = "conv_general_dilated"


def canonical_convolutions(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function with each convolution as one of `[N, ..., C]` with `[..., I, O]`.

    The derivative of a convolution by its kernel is a convolution whose batch and channel axes
    have changed places. XLA on CPU transposes such operands, but only outside of loops; inside,
    it computes them ten times slower. Here they are transposed beforehand. Custom derivative
    rules are lost, so the result is not to be differentiated.

    Args:
      function: a function of trees of arrays. Its convolutions inside loops stay as they are.

    >>> import jax.numpy as jnp
    >>> layout = ("NCW", "OIW", "NCW")
    >>> def convolve(x, w):
    ...     return lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=layout)
    >>> canonical_convolutions(convolve)(jnp.ones((1, 2, 4)), jnp.ones((3, 2, 1))).shape
    (1, 3, 4)
    """

    def evaluate(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*args, **kwargs)
        graph = Graph.primal_from_jaxpr(closed)
        leaves = jax.tree.leaves((args, kwargs))
        if any(operation.name == _CONVOLUTION for operation in graph.operations):
            outputs = _evaluate(graph, leaves)
        else:
            outputs = jex.jaxpr_as_fun(closed)(*leaves)
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return evaluate


def _evaluate(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    values = dict(zip(graph.inputs, inputs, strict=True)) | graph.constants

    def read(operand: Any) -> Any:
        return values[operand] if isinstance(operand, int) else operand.val

    for operation in graph.operations:
        operands = [read(operand) for operand in operation.operands]
        is_convolution = operation.name == _CONVOLUTION
        results = [_convolve(operation, *operands)] if is_convolution else operation.bind(operands)
        values.update(zip(operation.results, results, strict=True))
    return [read(output) for output in graph.outputs]


def _convolve(operation: Operation, signal: Array, kernel: Array) -> Array:
    """Return the result of a convolution, computed in the canonical layout."""
    numbers = operation.params["dimension_numbers"]
    batch, features, *places = numbers.lhs_spec
    outputs, inputs, *kernel_places = numbers.rhs_spec
    canonical = {"dimension_numbers": _canonical_numbers(signal.ndim)}
    (result,) = replace(operation, params=operation.params | canonical).bind(
        [
            jnp.transpose(signal, (batch, *places, features)),
            jnp.transpose(kernel, (*kernel_places, inputs, outputs)),
        ]
    )
    batch, features, *places = numbers.out_spec
    axes = (batch, *places, features)  # of the result that is asked for, in canonical order
    return jnp.transpose(result, [axes.index(axis) for axis in range(len(axes))])


def _canonical_numbers(rank: int) -> lax.ConvDimensionNumbers:
    places = tuple(range(1, rank - 1))
    signal = (0, rank - 1, *places)
    return lax.ConvDimensionNumbers(signal, (rank - 1, rank - 2, *range(rank - 2)), signal)
