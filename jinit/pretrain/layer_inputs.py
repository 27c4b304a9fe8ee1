"""The layers that can be trained by themselves: their inputs as a matrix, and their kernels."""

import math
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate import AppliedKernels, DataBatches
from jinit.calibrate.layers import LayerSite
from jinit.model import Graph, Model, PyTree, apply_taps

_KEEP_RANGE = frozenset(
    {
        "broadcast_in_dim",
        "convert_element_type",
        "copy",
        "expand_dims",
        "reduce_max",
        "reduce_window_max",
        "reshape",
        "rev",
        "slice",
        "squeeze",
        "stop_gradient",
        "transpose",
    }
)
"""Operations whose results lie in the range of their first operand."""


class PlainLayer:
    """A dense or convolutional layer as a matrix product: rows of inputs times weights.

    A row is the input of a dense layer at one position, or a patch of the input of a convolution.

    Args:
      model: the network.
      site: the layer.

    >>> from jinit.calibrate.layers import read_sites
    >>> from jinit.model import trace
    >>> model = trace(
    ...     lambda p, x: x @ p[0].T + p[1], [jnp.ones((3, 4)), jnp.ones((1, 3))], jnp.ones((2, 4))
    ... )
    >>> layer = PlainLayer(model, read_sites(model)[0])
    >>> layer.units, layer.kernel(jnp.ones((4, 3))).shape
    (3, (4, 3))
    """

    def __init__(self, model: Model, site: LayerSite) -> None:
        self.model, self.site = model, site
        self.operation, self.contraction = site.operation, site.contraction
        self.signal = self.contraction.signal_operand
        self.kernel_shape = self.operation.operand_shapes[1 - self.signal]

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution."""
        return self.operation.name == "conv_general_dilated"

    @property
    def units(self) -> int:
        """Number of units."""
        return self.contraction.width

    @cached_property
    def _kernel_axes(self) -> tuple[int, ...]:
        """Axes of the kernel in the order: those that are summed over, then the units."""
        if self.is_convolution:
            out, in_axis, *spatial = self.operation.params["dimension_numbers"].rhs_spec
            return (in_axis, *spatial, out)
        kernel = 1 - self.signal
        summed = tuple(self.operation.dot_dimension_numbers[0][kernel])
        free = [axis for axis in range(len(self.kernel_shape)) if axis not in summed]
        return (*summed, *free)

    def kernel(self, weights: Array) -> Array:
        """Return weights in the shape of the kernel that is applied.

        Args:
          weights: matrix of shape [inputs, units].
        """
        axes = self._kernel_axes
        ordered = weights.reshape([self.kernel_shape[axis] for axis in axes])
        return jnp.transpose(ordered, [axes.index(axis) for axis in range(len(axes))])

    def inputs(self, params: PyTree, batches: DataBatches, key: Array, most_rows: int) -> Array:
        """Return rows of inputs over all batches, as the layers below make them.

        Args:
          params: parameters of the network.
          batches: the data.
          key: key that chooses the rows, if there are too many.
          most_rows: largest number of rows; every batch gives an equal number.
        """
        share = max(1, most_rows // batches.length)
        leaves, place = jax.tree.leaves(params), self.site.place
        graph = _truncate(self.model.graph, place[0])

        def run(each: tuple[PyTree, Array]) -> Array:
            inputs, batch_key = each
            tap = partial(self._observe_rows, batch_key, share)
            values = [*leaves, *jax.tree.leaves(list(inputs))]
            return apply_taps(graph, values, {place: tap})[1][place]

        keys = jax.random.split(key, batches.length)
        rows = jax.lax.map(run, (batches.inputs, keys))
        return rows.reshape(-1, rows.shape[-1])

    def _observe_rows(
        self, key: Array, share: int, operands: Any, result: Any, probe: Any
    ) -> tuple[Any, Array]:
        del probe
        rows = self._rows(operands[self.signal].astype(jnp.float32))
        if len(rows) > share:
            rows = rows[jax.random.choice(key, len(rows), (share,), replace=False)]
        return result, rows

    def _rows(self, signal: Array) -> Array:
        if self.is_convolution:
            patches = self._patches(signal)
            return patches.reshape(-1, patches.shape[-1])
        summed = self.operation.dot_dimension_numbers[0][self.signal]
        free = [axis for axis in range(signal.ndim) if axis not in summed]
        size = math.prod(signal.shape[axis] for axis in summed)
        return jnp.transpose(signal, [*free, *summed]).reshape(-1, size)

    def _patches(self, signal: Array) -> Array:
        """Return the patches that a convolution multiplies with its kernel, along the last axis."""
        params = self.operation.params
        numbers = params["dimension_numbers"]
        batch, features, *positions = numbers.lhs_spec
        spatial = numbers.rhs_spec[2:]
        patches = jax.lax.conv_general_dilated_patches(
            jnp.transpose(signal, (batch, features, *positions)),
            [self.kernel_shape[axis] for axis in spatial],
            params["window_strides"],
            params["padding"],
            params["lhs_dilation"],
            params["rhs_dilation"],
            precision=jax.lax.Precision.HIGHEST,
        )
        return jnp.moveaxis(patches, 1, -1)

    def write(self, params: PyTree, weights: Array, bias: Array) -> PyTree:
        """Return the parameters of the network with the weights and the biases of this layer.

        Args:
          params: parameters of the network.
          weights: matrix of shape [inputs, units].
          bias: vector of shape [units].
        """
        place = self.site.place
        written = AppliedKernels(self.model, params).write({place: self.kernel(weights)})
        return self._write_bias(written, bias)

    def _write_bias(self, params: PyTree, bias: Array) -> PyTree:
        """Return the parameters for which the bias that is added has given values.

        As for kernels, the values are carried back by the transpose of the map from the parameter
        to what is added.
        """
        leaves, structure = jax.tree.flatten(params)
        index, place = self.contraction.bias, self.site.result_place
        if index is None:
            raise ValueError(f"{self.site.path}: no bias is added after the product")
        inputs = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in _input_leaves(self.model)]
        graph = _truncate(self.model.graph, place[0])

        def observe(operands: Any, result: Any, probe: Any) -> tuple[Any, Any]:
            del probe
            return result, operands[self.contraction.bias_operand]

        def apply(leaf: Array) -> Array:
            given = [*leaves[:index], leaf, *leaves[index + 1 :], *inputs]
            return apply_taps(graph, given, {place: observe})[1][place]

        leaf = leaves[index]
        value, pull = jax.vjp(apply, leaf)
        _, constants = jax.jvp(apply, (leaf,), (jnp.ones_like(leaf),))
        units = [
            size if axis in self.contraction.unit_axes else 1
            for axis, size in enumerate(value.shape)
        ]
        spread = jnp.broadcast_to(bias.reshape(units), value.shape)
        (total,), (square,) = pull(spread.astype(value.dtype)), pull(constants)
        is_used = square != 0
        written = jnp.where(is_used, total / jnp.where(is_used, square, 1), leaf)
        leaves[index] = written.astype(leaf.dtype)
        return jax.tree.unflatten(structure, leaves)


def lies_in_unit_interval(model: Model, site: LayerSite) -> bool:
    """Return whether the input of a layer surely lies in [0, 1]: a sigmoid, perhaps pooled.

    Args:
      model: the network.
      site: the layer, outside of loops.
    """
    makers = {number: each for each in model.graph.operations for number in each.results}
    operand = site.operation.operands[site.contraction.signal_operand]
    while isinstance(operand, int) and operand in makers:
        operation = makers[operand]
        if operation.name not in _KEEP_RANGE:
            return operation.name == "logistic"
        operand = operation.operands[0]
    return False


def _truncate(graph: Graph, last: int) -> Graph:
    """Return a graph up to one of its operations, without outputs."""
    return replace(graph, operations=graph.operations[: last + 1], outputs=())


def _input_leaves(model: Model) -> list[Any]:
    return jax.tree.leaves(list(model.inputs))
