"""Convolutions in the layout of axes that XLA on CPU computes fast, inside loops too."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any, ParamSpec, TypeVar

import jax
import jax.extend.core as jex
import jax.numpy as jnp
from jax import Array, lax

from jinit.model.default_platform import default_platform
from jinit.model.graph import Graph
from jinit.model.operation import Operation, bodies

_P = ParamSpec("_P")
_R = TypeVar("_R")

_CONVOLUTION = "conv_general_dilated"
_CONTROL_FLOW = ("cond", "scan", "while")


def fast_convolutions(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function that is as `canonical_convolutions` returns it where it runs on a CPU.

    The platform that a program is compiled for decides, and not that of the process which traces
    it. Other platforms compute the function as it is: they choose the layouts themselves.

    Args:
      function: a function of trees of arrays, which is not differentiated afterwards.

    >>> import jax.numpy as jnp
    >>> float(fast_convolutions(jnp.sum)(jnp.ones(3)))
    3.0
    """

    def evaluate(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*args, **kwargs)
        unchanged, leaves = jex.jaxpr_as_fun(closed), jax.tree.leaves((args, kwargs))
        if _has_convolution(closed):
            outputs = lax.platform_dependent(*leaves, cpu=_rewrite(closed), default=unchanged)
        else:
            outputs = unchanged(*leaves)
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return evaluate


def is_faster_alone(graph: Graph) -> bool:
    """Return True if copies of a network run faster one after the other than in a `vmap`.

    A `vmap` over kernels groups the channels of convolutions, which XLA on CPU computes three times
    slower or more. JAX's default device decides.

    Args:
      graph: the computation of the network.

    >>> import jax.numpy as jnp
    >>> is_faster_alone(Graph.from_function(jnp.sin, jnp.ones(3)))
    False
    """
    return default_platform() == "cpu" and any(map(_is_or_has_convolution, graph.operations))


def canonical_convolutions(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function with each convolution as one of `[N, ..., C]` with `[..., I, O]`.

    The derivative of a convolution by its kernel is a convolution whose batch and channel axes
    have changed places. XLA on CPU transposes such operands, but only outside of loops; inside,
    it computes them ten times slower. Here they are transposed beforehand, in loops and branches
    of the function as well. Third derivatives also convolve a small signal with a larger kernel,
    where most products are with padding; the two then change places. Custom derivative rules are
    lost, so the result is not to be differentiated.

    Args:
      function: a function of trees of arrays.

    >>> import jax.numpy as jnp
    >>> layout = ("NCW", "OIW", "NCW")
    >>> def convolve(x, w):
    ...     return lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=layout)
    >>> canonical_convolutions(convolve)(jnp.ones((1, 2, 4)), jnp.ones((3, 2, 1))).shape
    (1, 3, 4)
    """

    def evaluate(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*args, **kwargs)
        outputs = _rewrite(closed)(*jax.tree.leaves((args, kwargs)))
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return evaluate


def _rewrite(closed: jex.ClosedJaxpr) -> Callable[..., list[Any]]:
    """Return the function of a jaxpr; the same function if it has no convolution."""
    if not _has_convolution(closed):
        return jex.jaxpr_as_fun(closed)
    graph = Graph.primal_from_jaxpr(closed)
    return lambda *inputs: _evaluate(graph, inputs)


def _has_convolution(closed: jex.ClosedJaxpr) -> bool:
    return any(map(_is_or_has_convolution, closed.jaxpr.eqns))


def _is_or_has_convolution(equation: Any) -> bool:
    is_convolution = equation.primitive.name == _CONVOLUTION
    return is_convolution or any(map(_has_convolution, bodies(equation.params)))


def _evaluate(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    values = dict(zip(graph.inputs, inputs, strict=True)) | graph.constants

    def read(operand: Any) -> Any:
        return values[operand] if isinstance(operand, int) else operand.val

    for operation in graph.operations:
        operands = [read(operand) for operand in operation.operands]
        if operation.name == _CONVOLUTION:
            results = [_convolve(operation, *operands)]
        else:
            results = _rewrite_bodies(operation).bind(operands)
        values.update(zip(operation.results, results, strict=True))
    return [read(output) for output in graph.outputs]


def _rewrite_bodies(operation: Operation) -> Operation:
    """Return an operation with canonical convolutions in its branches, or in its loop."""
    if operation.name not in _CONTROL_FLOW:
        return operation

    def rewrite(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(rewrite, value))
        if isinstance(value, jex.ClosedJaxpr) and _has_convolution(value):
            return jax.make_jaxpr(_rewrite(value))(*value.in_avals)
        return value

    return replace(operation, params={name: rewrite(v) for name, v in operation.params.items()})


def _convolve(operation: Operation, signal: Array, kernel: Array) -> Array:
    """Return the result of a convolution, computed in the canonical layout."""
    numbers = operation.params["dimension_numbers"]
    batch, features, *places = numbers.lhs_spec
    outputs, inputs, *kernel_places = numbers.rhs_spec
    signal = jnp.transpose(signal, (batch, *places, features))
    kernel = jnp.transpose(kernel, (*kernel_places, inputs, outputs))
    canonical = {"dimension_numbers": _canonical_numbers(signal.ndim)}
    operation = replace(operation, params=operation.params | canonical)
    compute = _exchange if _is_small(operation, signal, kernel) else _bind
    batch, features, *places = numbers.out_spec
    axes = (batch, *places, features)  # of the result that is asked for, in canonical order
    return jnp.transpose(
        compute(operation, signal, kernel), [axes.index(axis) for axis in range(len(axes))]
    )


def _bind(operation: Operation, signal: Array, kernel: Array) -> Array:
    return operation.bind([signal, kernel])[0]


def _is_small(operation: Operation, signal: Array, kernel: Array) -> bool:
    """Return whether the signal has fewer places than the kernel, and could be the kernel."""
    params = operation.params
    groups = params["feature_group_count"] * params["batch_group_count"]
    is_plain = groups * prod(params["window_strides"]) == 1
    return is_plain and prod(signal.shape[1:-1]) < prod(kernel.shape[:-2])


def _exchange(operation: Operation, signal: Array, kernel: Array) -> Array:
    """Return a convolution in the canonical layout, computed with the signal as its kernel.

    A result at o sums the products of the signal at i and the kernel at k with
    o = dᵢ i + p - dₖ k, with the dilations dᵢ and dₖ, and the padding p before the signal. With i
    and k exchanged, it is at the place q - o, where q = dₖ k + p' - dᵢ i defines the new padding.
    """
    params = operation.params
    dilations = params["lhs_dilation"], params["rhs_dilation"]
    sizes = zip(signal.shape[1:-1], dilations[0], kernel.shape[:-2], dilations[1], strict=True)
    excess = [(i - 1) * di - (k - 1) * dk for i, di, k, dk in sizes]
    padding = tuple(
        (high + more, low + more)
        for (low, high), more in zip(params["padding"], excess, strict=True)
    )
    exchanged = params | {
        "lhs_dilation": dilations[1],
        "rhs_dilation": dilations[0],
        "padding": padding,
    }
    last = signal.ndim - 1
    result = _bind(
        replace(operation, params=exchanged),
        jnp.moveaxis(kernel, last, 0),
        jnp.moveaxis(signal, 0, last),
    )
    return jnp.moveaxis(lax.rev(result, range(1, last)), (0, last), (last, 0))


def _canonical_numbers(rank: int) -> lax.ConvDimensionNumbers:
    places = tuple(range(1, rank - 1))
    signal = (0, rank - 1, *places)
    return lax.ConvDimensionNumbers(signal, (rank - 1, rank - 2, *range(rank - 2)), signal)
