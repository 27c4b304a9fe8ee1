"""Sizes of the results of single operations and of their gradients, in one run of a network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model import Graph, Place, Tap, apply_taps


class Size(NamedTuple):
    """The size of an array; inside a loop, with an entry for each iteration."""

    log_second: Array
    """Logarithm of its mean square: -inf if all entries are zero."""
    largest: Array
    """Largest absolute value: NaN or infinite if an entry is."""


class OperationSizes(NamedTuple):
    """The sizes at one operation; None where there are no floating-point numbers."""

    result: Size | None
    operands: tuple[Size | None, ...]
    gradient: Size
    """Gradient of the loss with respect to the result; `log_second` is that of the sum of squares.
    """


Recorder = Callable[[Sequence[Place]], Mapping[Place, OperationSizes]]
"""Runs a network again and returns the sizes at some of its operations."""


def record_operations(
    graph: Graph, inputs: Sequence[Any], places: Sequence[Place]
) -> dict[Place, OperationSizes]:
    """Run a loss once forward and once backward, and measure the results of some operations.

    Only numbers are kept, so that it takes little more memory than the gradient.

    Args:
      graph: a computation whose first output is the loss.
      inputs: its flat inputs.
      places: places of the operations.

    >>> graph = Graph.from_function(lambda x: (3 * x).sum(), jnp.ones(4))
    >>> sizes = record_operations(graph, [jnp.ones(4)], [(0,)])[(0,)]
    >>> float(sizes.result.largest), float(sizes.gradient.largest)
    (3.0, 1.0)
    """
    taps: dict[Place, Tap] = dict.fromkeys(places, _record)
    probes = {place: jnp.zeros((*(graph.loop_lengths(place[:-1]) or ()), 2)) for place in places}

    def run(probes: Mapping[Place, Array]) -> tuple[Array, Any]:
        outputs, observations = apply_taps(graph, inputs, taps, probes)
        return jnp.asarray(outputs[0], jnp.float32), observations

    gradients, observations = jax.grad(run, has_aux=True)(probes)
    sizes = {}
    for place in places:
        result, operands = observations[place]
        sizes[place] = OperationSizes(result, operands, _gradient_size(gradients[place]))
    return sizes


def _gradient_size(numbers: Array) -> Size:
    """Return the size of a gradient from that of its probe, which is zero without a gradient."""
    log_total, largest = jnp.moveaxis(numbers, -1, 0)
    return Size(jnp.where(largest == 0, -jnp.inf, log_total), largest)


def _record(operands: Sequence[Any], result: Any, probe: Any) -> tuple[Any, Any]:
    sizes = _size(result), tuple(map(_size, operands))
    return (_attach_probe(result, probe) if sizes[0] else result), sizes


def _is_inexact(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.inexact)


def _size(value: Any) -> Size | None:
    """Return the size of an array, without overflow; None if it has no floating-point numbers."""
    return _inexact_size(value) if _is_inexact(value) and jnp.size(value) else None


def _inexact_size(value: Any) -> Size:
    absolute = jnp.abs(jnp.asarray(value)).astype(jnp.float32)
    largest = jax.lax.stop_gradient(absolute.max())
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
    second = jnp.mean((jax.lax.stop_gradient(absolute) / scale) ** 2)
    return Size(jnp.log(second) + 2 * jnp.log(scale), largest)


@jax.custom_vjp
def _attach_probe(value: Array, probe: Array) -> Array:
    """Return the value; the gradient of the probe is the size of the value's gradient."""
    del probe
    return value


def _attach_probe_forward(value: Array, probe: Array) -> tuple[Array, None]:
    del probe
    return value, None


def _attach_probe_backward(residual: None, gradient: Array) -> tuple[Array, Array]:
    del residual
    size = _inexact_size(gradient)
    return gradient, jnp.stack([size.log_second + jnp.log(gradient.size), size.largest])


_attach_probe.defvjp(_attach_probe_forward, _attach_probe_backward)
