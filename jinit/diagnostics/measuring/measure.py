"""Statistics of every layer of a network in one forward and one backward pass."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jinit.diagnostics.measuring.batch import count_examples
from jinit.diagnostics.measuring.limits import ActivationLimits, input_limits
from jinit.diagnostics.measuring.observe import (
    BranchStatistics,
    LayerSignals,
    Observation,
    OutputLoss,
    OutputStatistics,
    observe,
)
from jinit.diagnostics.measuring.statistics import (
    GradientStatistics,
    InputStatistics,
    PreactivationStatistics,
    Scalar,
    WeightStatistics,
    gradient_statistics,
    input_statistics,
    preactivation_statistics,
    weight_statistics,
)
from jinit.diagnostics.measuring.symmetry import RandomProducts, random_products
from jinit.model import Contraction, Leaf, Model, PyTree


class LayerStatistics(NamedTuple):
    """Statistics at a contraction; inside a loop, with a leading iteration axis."""

    input: InputStatistics
    preactivation: PreactivationStatistics
    gradient: GradientStatistics
    kernel_second: Scalar
    """Mean square of the kernel as it is applied."""
    bias_second: Scalar
    """Mean square of the bias that is added; zero without one."""


class Measurements(NamedTuple):
    """All measurements of one network at initialization."""

    loss: Array
    outputs: OutputStatistics
    inputs: tuple[Scalar, ...]
    """Mean square of every input of the network; 0 for integers and booleans."""
    layers: tuple[LayerStatistics, ...]
    """One for each of the model's contractions."""
    branches: tuple[BranchStatistics, ...]
    """One for each of the model's residual sums."""
    weights: dict[str, WeightStatistics]
    """Statistics of the trained floating-point parameters, by path."""
    products: dict[str, RandomProducts]
    """Random products of the parameters with at least two axes, by path."""
    gradient_products: dict[str, RandomProducts]
    """Random products of the gradients of the same parameters, by path."""


def measure(
    model: Model,
    params: PyTree,
    inputs: Sequence[PyTree],
    loss: OutputLoss,
    optimizer: Any = None,
) -> Measurements:
    """Measure a network.

    The function is pure, so that it can be jitted and vmapped.

    Args:
      model: the traced network.
      params: its parameters.
      inputs: one batch, as traced; axis 0 of the first enumerates examples.
      loss: function of the outputs that returns the mean loss over the batch.
      optimizer: optax transformation whose first update is measured, or None.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> x, w = jnp.ones((8, 4)), jnp.eye(4)
    >>> model = trace(lambda p, x: jnp.tanh(x @ p) @ p, w, x)
    >>> measurements = measure(model, w, [x], lambda y: y.sum() / 8)
    >>> bool(jnp.allclose(measurements.layers[1].preactivation.second, jnp.tanh(1.0) ** 2))
    True
    """
    observation = observe(model, params, inputs, loss, optimizer)
    return summarize(model, params, observation, count_examples(inputs))


def summarize(
    model: Model, params: PyTree, observation: Observation, examples: int
) -> Measurements:
    """Return the statistics of the values recorded in one run.

    Outside a compiled function every statistic is a program of its own, compiled once for all
    layers of one shape, in this network and in others. A deep network is then measured several
    times faster than by one program.

    Args:
      model: the traced network.
      params: its parameters.
      observation: values recorded with these parameters.
      examples: number of examples in the batch.
    """
    limits = input_limits(model)
    values = model.by_path(params)
    changes = observation.changes
    matrices = [path for path in changes if values[path].ndim > 1]
    return Measurements(
        loss=observation.loss,
        outputs=observation.outputs,
        inputs=observation.inputs,
        layers=tuple(
            _layer_statistics(layer, limits.get(layer.place), examples, signals)
            for layer, signals in zip(model.contractions, observation.layers, strict=True)
        ),
        branches=observation.branches,
        weights={
            path: weight_statistics(values[path], change.gradient, change.update_second)
            for path, change in changes.items()
        },
        products=matrix_products(model, {path: values[path] for path in matrices}),
        gradient_products=matrix_products(
            model, {path: changes[path].gradient for path in matrices}
        ),
    )


def matrix_products(
    model: Model,
    values: Mapping[str, Any],
    products: Callable[[Any, tuple[str, ...]], RandomProducts] = random_products,
) -> dict[str, RandomProducts]:
    """Return the random products of arrays with the axes of parameters.

    Args:
      model: the traced network.
      values: parameters or their gradients, by path.
      products: computes them, `random_products` or `host_products`.
    """
    return {path: products(value, _leaf_axes(model.leaf(path))) for path, value in values.items()}


def read_iteration(value: Array | np.ndarray, iteration: int | None) -> Any:
    """Return a statistic of one iteration of a loop.

    Args:
      value: one number, or an array with an axis for each loop.
      iteration: number of the iteration over all loops; None for the mean over all iterations.
    """
    if not value.ndim:
        return value
    return value.mean() if iteration is None else value.reshape(-1)[iteration]


def _leaf_axes(leaf: Leaf) -> tuple[str, ...]:
    return tuple(leaf.axes) or ("",) * len(leaf.shape)


def _layer_statistics(
    layer: Contraction, limits: ActivationLimits | None, examples: int, signals: LayerSignals
) -> LayerStatistics:
    by_iteration = partial(_map_iterations, len(layer.loop_lengths))
    input_statistic = partial(input_statistics, units=layer.input_axes, limits=limits)
    preactivation_statistic = partial(preactivation_statistics, units=layer.unit_axes)
    gradient_statistic = partial(gradient_statistics, examples=examples)
    return LayerStatistics(
        input=by_iteration(input_statistic, signals.input),
        preactivation=by_iteration(preactivation_statistic, signals.preactivation),
        gradient=by_iteration(gradient_statistic, signals.gradient),
        kernel_second=signals.kernel_second,
        bias_second=signals.bias_second,
    )


def _map_iterations(loop_count: int, statistic: Callable[[Array], Any], value: Array) -> Any:
    """Return a statistic of every iteration, over one leading axis for each loop."""
    for _ in range(loop_count):
        statistic = jax.vmap(statistic)
    return statistic(value)
