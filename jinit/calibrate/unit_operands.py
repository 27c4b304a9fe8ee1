"""Parameters as operands of the operations that apply them: kernels, scales and biases."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate.layers import pooled_mean
from jinit.model import CONTRACTION_PRIMITIVES, Model, Operation, Place, PyTree, apply_taps


class UnitOperand(NamedTuple):
    """A parameter that is an operand of an operation, and the units of the result."""

    place: Place
    operand: int
    """Index of the operand that is a function of the parameter."""
    leaf: int
    """Index of the parameter."""
    units: tuple[int, ...]
    """Axes of the result that enumerate units; members of an ensemble have their own."""
    operation: Operation

    @property
    def unit_count(self) -> int:
        """Number of units."""
        return math.prod(self.operation.shapes[0][axis] for axis in self.units)

    def mean(self, value: Array) -> Array:
        """Return the mean of every unit over all batches, broadcast to the rank of the result.

        Args:
          value: values in the shape of the result.
        """
        pooled = pooled_mean(
            jnp.moveaxis(value, self.units, range(len(self.units))), len(self.units)
        )
        others = [axis for axis in range(value.ndim) if axis not in self.units]
        return jnp.expand_dims(pooled, others)

    def on_operand(self, values: Array) -> Array:
        """Return numbers of the units so that they broadcast to the operand.

        Args:
          values: numbers of the units, which broadcast to the result.
        """
        if self.operation.name not in CONTRACTION_PRIMITIVES:
            return values
        rank = len(self.operation.operand_shapes[self.operand])
        axes = _kernel_axes(self.operation, self.operand)
        others = [axis for axis in range(values.ndim) if axis not in self.units]
        by_unit = jnp.transpose(jnp.squeeze(values, others), _ranks(axes))
        return jnp.expand_dims(by_unit, [axis for axis in range(rank) if axis not in axes])


def _kernel_axes(operation: Operation, kernel: int) -> list[int]:
    """Return the axes of a kernel that enumerate units, in the order of those of the result."""
    if operation.name == "conv_general_dilated":
        return [operation.params["dimension_numbers"].rhs_spec[0]]
    contracted, batch = (axes[kernel] for axes in operation.dot_dimension_numbers)
    rank = len(operation.operand_shapes[kernel])
    return [*batch, *(axis for axis in range(rank) if axis not in (*contracted, *batch))]


def _ranks(axes: Sequence[int]) -> list[int]:
    """Return the order that sorts axes."""
    return sorted(range(len(axes)), key=lambda place: axes[place])


class AppliedOperands:
    """The operands of some operations as linear functions of parameters, and back.

    Args:
      model: the network.
      params: its parameters.
      operands: the operands, each at a place of its own.

    >>> from jinit.model import trace
    >>> model = trace(lambda b, x: x + 2 * b, jnp.ones((1, 3)), jnp.ones((8, 3)))
    >>> bias = UnitOperand((1,), 1, 0, (1,), model.graph.operations[1])
    >>> operands = AppliedOperands(model, jnp.ones((1, 3)), [bias])
    >>> operands.update(factors={}, values={(1,): 4 * jnp.ones((1, 3))}).ravel().tolist()
    [2.0, 2.0, 2.0]
    """

    def __init__(self, model: Model, params: PyTree, operands: Sequence[UnitOperand]) -> None:
        self._leaves, self._structure = jax.tree.flatten(params)
        self._operands = {each.place: each for each in operands}
        self._indices = sorted({each.leaf for each in operands})
        given = [self._leaves[index] for index in self._indices]
        apply = partial(_apply_operands, model, self._leaves, self._indices, operands)
        self.values, self._pull = jax.vjp(apply, given)
        """The operands by place, with a leading axis for each loop."""
        _, self._constants = jax.jvp(apply, (given,), (jax.tree.map(jnp.ones_like, given),))

    def update(self, factors: Mapping[Place, Array], values: Mapping[Place, Array]) -> PyTree:
        """Return the parameters for which some operands are multiplied or have given values.

        Args:
          factors: factors of operands by place, which broadcast to the operand.
          values: values of other operands, in the same form.
        """
        scaled = {place: by * self._constants[place] for place, by in factors.items()}
        leaves = list(self._leaves)
        changes = zip(self._indices, self._solve(scaled), self._solve(values), strict=True)
        for index, (factor, has_factor), (value, has_value) in changes:
            wide = leaves[index].astype(jnp.promote_types(leaves[index].dtype, jnp.float32))
            wide = jnp.where(has_factor, wide * factor, wide)
            leaves[index] = jnp.where(has_value, value, wide).astype(leaves[index].dtype)
        return jax.tree.unflatten(self._structure, leaves)

    def _solve(self, values: Mapping[Place, Array]) -> list[tuple[Array, Array]]:
        """Return the parameters whose operands have these values, and which entries have one."""
        masks = {place: self._mask(place) for place in values}
        totals = self._carry({place: masks[place] * each for place, each in values.items()})
        counts = self._carry(
            {place: mask * self._constants[place] for place, mask in masks.items()}
        )
        return [
            (total / jnp.where(count == 0, 1, count), count != 0)
            for total, count in zip(totals, counts, strict=True)
        ]

    def _mask(self, place: Place) -> Array:
        """Return 1 for the entries to read: of many that are equal, the first one only."""
        operand, shape = self._operands[place], self.values[place].shape
        if operand.operation.name in CONTRACTION_PRIMITIVES:
            return jnp.ones(shape)
        rank = len(operand.operation.shapes[0])
        repeated = [axis for axis in range(rank) if axis not in operand.units]
        loops = len(shape) - rank
        firsts = [
            jax.lax.broadcasted_iota(jnp.int32, shape, loops + axis) == 0 for axis in repeated
        ]
        return jnp.ones(shape) * math.prod(firsts, start=jnp.ones(()))

    def _carry(self, values: Mapping[Place, Array]) -> list[Array]:
        """Return the transpose of the map, applied to values by place; others count as zero."""
        complete = {
            place: jnp.broadcast_to(values[place], value.shape).astype(value.dtype)
            if place in values
            else jnp.zeros_like(value)
            for place, value in self.values.items()
        }
        return self._pull(complete)[0]


def _apply_operands(
    model: Model,
    leaves: Sequence[Array],
    indices: Sequence[int],
    operands: Sequence[UnitOperand],
    given: Sequence[Array],
) -> dict[Place, Array]:
    """Return the operands if some parameters have given values."""
    by_index = dict(zip(indices, given, strict=True))
    changed = [by_index.get(index, leaf) for index, leaf in enumerate(leaves)]
    inputs = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(list(model.inputs))]
    taps = {each.place: partial(_observe, each.operand) for each in operands}
    last = max((each.place[0] for each in operands), default=-1)
    graph = replace(model.graph, operations=model.graph.operations[: last + 1], outputs=())
    return apply_taps(graph, [*changed, *inputs], taps)[1]


def _observe(operand: int, operands: Sequence[Any], result: Any, probe: Any) -> tuple[Any, Any]:
    """Observe an operand; what follows is not a function of the parameters any more."""
    del probe
    return jax.lax.stop_gradient(result), operands[operand]
