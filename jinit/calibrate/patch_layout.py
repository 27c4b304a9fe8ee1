"""The inputs of a layer as vectors: patches of a convolution, features of a dense layer."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.model import Operation


class PatchLayout(NamedTuple):
    """The map from the operands of a product to vectors, one group of units at a time.

    Every unit of a group g is a product of one row of `(groups, units, size)` with the vectors of
    `(groups, number, size)`. Members of an ensemble are groups.
    """

    operation: Operation
    """A `dot_general`, or a `conv_general_dilated` whose kernel is the second operand."""
    kernel: int
    """Index of the operand that is the kernel."""

    def vectors(self, signal: Array) -> Array:
        """Return the vectors of a signal, `(groups, number, size)`, in float32.

        Args:
          signal: the signal.
        """
        wide = signal.astype(jnp.float32)
        if self.operation.name == "conv_general_dilated":
            return self._patches(wide)
        contracted, batch = self._axes(1 - self.kernel)
        others = [axis for axis in range(wide.ndim) if axis not in (*contracted, *batch)]
        groups, size = (
            math.prod(wide.shape[axis] for axis in axes) for axes in (batch, contracted)
        )
        return wide.transpose(*batch, *others, *contracted).reshape(groups, -1, size)

    def kernel_of(self, rows: Array) -> Array:
        """Return the kernel with these rows.

        Args:
          rows: one row per unit, `(groups, units, size)`.
        """
        shape = self.operation.operand_shapes[self.kernel]
        order = self._order()
        return rows.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))

    @property
    def group_count(self) -> int:
        """Number of groups."""
        if self.operation.name == "conv_general_dilated":
            return self.operation.params["feature_group_count"]
        _, batch = self._axes(self.kernel)
        return math.prod(self.operation.operand_shapes[self.kernel][axis] for axis in batch)

    @property
    def unit_count(self) -> int:
        """Number of units of each group."""
        shape = self.operation.operand_shapes[self.kernel]
        if self.operation.name == "conv_general_dilated":
            return shape[self._order()[0]] // self.group_count
        contracted, _ = self._axes(self.kernel)
        size = math.prod(shape[axis] for axis in contracted)
        return math.prod(shape) // max(size * self.group_count, 1)

    def _order(self) -> list[int]:
        """Return the axes of the kernel: of groups, of units, and of the inputs of a unit."""
        if self.operation.name == "conv_general_dilated":
            return list(self.operation.params["dimension_numbers"].rhs_spec)
        contracted, batch = self._axes(self.kernel)
        rank = len(self.operation.operand_shapes[self.kernel])
        return [*batch, *(a for a in range(rank) if a not in (*contracted, *batch)), *contracted]

    def _axes(self, operand: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        contracted, batch = self.operation.dot_dimension_numbers
        return tuple(contracted[operand]), tuple(batch[operand])

    def _patches(self, signal: Array) -> Array:
        params, shape = self.operation.params, self.operation.operand_shapes[self.kernel]
        numbers = params["dimension_numbers"]
        found = jax.lax.conv_general_dilated_patches(
            signal.transpose(numbers.lhs_spec),
            [shape[axis] for axis in numbers.rhs_spec[2:]],
            params["window_strides"],
            params["padding"],
            params["lhs_dilation"],
            params["rhs_dilation"],
            precision=jax.lax.Precision.HIGHEST,
        )
        size = found.shape[1] // self.group_count
        by_position = jnp.moveaxis(found, 1, -1).reshape(-1, self.group_count, size)
        return jnp.moveaxis(by_position, 1, 0)
