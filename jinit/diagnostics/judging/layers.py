"""The measurements of each layer, in execution order, as plain numbers."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from jinit.diagnostics.judging.interval import log_or_infinity
from jinit.diagnostics.measuring.measure import (
    BranchStatistics,
    LayerStatistics,
    Measurements,
    read_iteration,
)
from jinit.diagnostics.measuring.statistics import WeightStatistics
from jinit.diagnostics.measuring.symmetry import count_equal_units
from jinit.gains import needed
from jinit.model import Contraction, Leaf, Model, Place, bodies

_FREE_SCALE_ENDS = ("residual", "shortcut", "output", "softmax", "attention", "other")
"""Ends after which the scale of a result may be chosen freely."""


class EqualCounts(NamedTuple):
    """Numbers of units and of inputs that equal another one and are not all zero."""

    weights: tuple[int, int] = (0, 0)
    gradients: tuple[int, int] = (0, 0)
    both: tuple[int, int] = (0, 0)
    """Equal in weights and in gradients, so that training keeps them equal."""


class IterationSizes(NamedTuple):
    """Measurements of a layer by iteration of its loop, in the order of execution."""

    second: np.ndarray
    """Mean square of the pre-activations."""
    gradient_total: np.ndarray
    """Sum of squares of the gradient with respect to them."""


@dataclass(frozen=True)
class LayerRow:
    """One layer: one use of a kernel on a signal."""

    path: str
    """Path of its kernel, numbered for the second and later uses."""
    leaf: Leaf
    """Its kernel."""
    contraction: Contraction
    statistics: LayerStatistics
    weight: WeightStatistics
    equal_counts: EqualCounts
    previous_layer: int | None
    """Number of the layer before it in its chain: the only layer whose activation it takes in."""
    next_layer: int | None
    """Number of the layer that takes in its activation."""
    branch: BranchStatistics | None
    """Statistics of the residual sum that its result is added to, if there is one."""
    iteration_sizes: IterationSizes | None = None
    """For a kernel that all iterations of a loop share."""

    @property
    def width(self) -> int:
        """Number of units."""
        return self.contraction.width

    @property
    def has_free_scale(self) -> bool:
        """Whether its scale may be chosen freely: a residual branch, a head, attention."""
        activation = self.leaf.activation
        return activation is None or (
            activation.end in _FREE_SCALE_ENDS and not self.has_scalar_activation
        )

    @property
    def has_scalar_activation(self) -> bool:
        """Whether an elementwise function is all that lies between it and the next layer."""
        return self.contraction.is_linked_by(self.leaf.activation)

    @property
    def is_normalized(self) -> bool:
        """Whether a normalization follows, which removes its scale."""
        return self.leaf.activation is not None and self.leaf.activation.has_normalization

    @property
    def passes_zeros(self) -> bool:
        """Whether its input or its kernel is zero everywhere."""
        return self.statistics.input.dead_fraction == 1 or self.weight.is_zero

    @property
    def squared_gain(self) -> float:
        """Fan-in times the mean square of the kernel: variance of a unit's sum over the mean
        square of its inputs."""
        return self.contraction.fan_in * float(self.statistics.kernel_second)

    @property
    def used_squared_gain(self) -> float:
        """Fan-in times the mean square of the weights that the signal meets, with all constant
        factors on their way."""
        if self.leaf.normalized_by or self.leaf.weight_factor == 1:
            return self.squared_gain
        return self.contraction.fan_in * self.weight.second * self.leaf.weight_factor**2

    @property
    def log_input(self) -> float:
        """ln of the mean square of its input, before constants that count as the kernel's scale."""
        measured = log_or_infinity(self.statistics.input.second)
        if not (self.squared_gain > 0 and self.used_squared_gain > 0):
            return measured
        return measured - math.log(self.used_squared_gain / self.squared_gain)

    @property
    def log_signal(self) -> float:
        """ln of the mean square of the pre-activations, as the activation's nonlinear part gets
        them: times a² before φ(a z)."""
        return log_or_infinity(self.statistics.preactivation.second) + self._log_own_scale

    @property
    def log_gradient(self) -> float:
        """ln of the sum of squares of the gradient by the pre-activations that `log_signal` is
        about."""
        return log_or_infinity(self.statistics.gradient.total) - self._log_own_scale

    @property
    def log_small_start(self) -> float:
        """ln of the mean square that its results should have at inputs of 1, where that is below 1
        on purpose: deep chains of gelu begin with small signals."""
        scale = needed(self.leaf)
        if scale is None or not self.leaf.begins_chain or not self.leaf.chain_length > 1:
            return 0.0
        return min(math.log(scale.weights + scale.biases) + self._log_own_scale, 0.0)

    @property
    def _log_own_scale(self) -> float:
        """ln a² of an activation φ(a z)."""
        activation = self.leaf.activation
        if activation is None or activation.argument_count > 1 or activation.unscaled.is_identity:
            return 0.0
        return 2 * math.log(activation.input_scale)

    @property
    def sum_second(self) -> float:
        """Mean square of the units' sums without biases, if inputs and weights are independent."""
        return self.squared_gain * self.statistics.input.second

    @property
    def has_dominant_biases(self) -> bool:
        """Whether its biases outweigh the sums that they are added to."""
        return self.statistics.bias_second > self.sum_second


def layer_rows(model: Model, measurements: Measurements) -> tuple[LayerRow, ...]:
    """Return one row for every layer of a model, in execution order.

    Args:
      model: the traced network.
      measurements: its measurements, with NumPy arrays.
    """
    consumers = layer_consumers(model)
    branch_sums = _residual_numbers(model)
    equal_counts: dict[str, EqualCounts] = {}
    rows = []
    for place, (number, step) in enumerate(model.layers):
        contraction = model.contractions[number]
        path = model.paths[contraction.kernel]
        if path not in equal_counts:
            equal_counts[path] = _equal_counts(measurements, path)
        sources = [source for source, consumer in enumerate(consumers) if consumer == place]
        is_chained = len(sources) == 1 and _is_chain_link(model, sources[0])
        lengths, branch = contraction.loop_lengths, branch_sums.get(number)
        rows.append(
            LayerRow(
                path=model.layer_names[place],
                leaf=model.leaf(path),
                contraction=contraction,
                statistics=_read_iteration(measurements.layers[number], step),
                weight=WeightStatistics(*map(float, measurements.weights[path])),
                equal_counts=equal_counts[path],
                previous_layer=sources[0] if is_chained else None,
                next_layer=consumers[place],
                branch=None
                if branch is None
                else _read_iteration(measurements.branches[branch], step),
                iteration_sizes=_iteration_sizes(model, contraction, measurements.layers[number])
                if lengths and step is None
                else None,
            )
        )
    return tuple(rows)


def layer_consumers(model: Model) -> list[int | None]:
    """Return, for every layer, the number of the layer that takes in its activation."""
    layer_numbers = {tuple(layer): number for number, layer in enumerate(model.layers)}
    places = {contraction.place: n for n, contraction in enumerate(model.contractions)}

    def consumer(number: int, step: int | None) -> int | None:
        contraction = model.contractions[number]
        if contraction.follower is not None:
            return layer_numbers.get((places[contraction.follower], step))
        if contraction.loop_follower is None or step is None:
            return None
        return layer_numbers.get((places[contraction.loop_follower], step + 1))

    return [consumer(*layer) for layer in model.layers]


def _equal_counts(measurements: Measurements, path: str) -> EqualCounts:
    if path not in measurements.products:
        return EqualCounts()
    weights = measurements.products[path]
    if path not in measurements.gradient_products:
        return EqualCounts(weights=count_equal_units(weights))
    gradients = measurements.gradient_products[path]
    return EqualCounts(
        weights=count_equal_units(weights),
        gradients=count_equal_units(gradients),
        both=count_equal_units(weights, gradients),
    )


def _is_chain_link(model: Model, layer: int) -> bool:
    """Return whether one layer alone consumes this layer, with only an elementwise function
    between the two."""
    number, _ = model.layers[layer]
    contraction = model.contractions[number]
    activation = model.leaf(model.paths[contraction.kernel]).activation
    return contraction.has_single_consumer and contraction.is_linked_by(activation)


def _residual_numbers(model: Model) -> dict[int, int]:
    """Return the number of the residual sum, by number of the contraction that ends its branch."""
    numbers: dict[int, int] = {}
    for number, residual in enumerate(model.residual_sums):
        branch_ends = [
            place
            for place, contraction in enumerate(model.contractions)
            if contraction.place[:-1] == residual.place[:-1]
            and contraction.place < residual.place
            and model.leaf(model.paths[contraction.kernel]).end == "residual"
        ]
        if branch_ends and branch_ends[-1] not in numbers:
            numbers[branch_ends[-1]] = number
    return numbers


def _iteration_sizes(
    model: Model, contraction: Contraction, layer: LayerStatistics
) -> IterationSizes:
    """Return the measurements of a layer in the order in which its iterations are executed."""
    reversed_axes = _reversed_loops(model, contraction.place)

    def read(values: Any) -> np.ndarray:
        sizes = np.asarray(values, np.float64).reshape(contraction.loop_lengths)
        return np.flip(sizes, reversed_axes).ravel()

    return IterationSizes(read(layer.preactivation.second), read(layer.gradient.total))


def _reversed_loops(model: Model, place: Place) -> tuple[int, ...]:
    """Return which of the loops around an operation begin with their last index."""
    graph, found = model.graph, []
    for depth, position in enumerate(place[:-1]):
        operation = graph.operations[position]
        if operation.params.get("reverse"):
            found.append(depth)
        graph = graph.flatten_body(next(bodies(operation.params)))
    return tuple(found)


def _read_iteration(values: Any, step: int | None) -> Any:
    """Return the numbers of one iteration; with `step` None, their means over all iterations."""

    def read(value: Any) -> float:
        return float(read_iteration(np.asarray(value, np.float64), step))

    return jax.tree.map(read, values)
