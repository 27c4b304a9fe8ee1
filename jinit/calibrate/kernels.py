"""The map from parameters to the kernels that a network applies, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model import Model, Place, PyTree, apply_taps


class AppliedKernels:
    """The kernels of a network as its contractions apply them.

    Between a parameter and the kernel that is applied may lie casts, reshapes, transposes, slices
    and constant factors; a parameter may be applied in several places, or one slice of it in every
    iteration of a loop. Values in the form of applied kernels are carried back to the parameters
    by the transpose of that map.

    Args:
      model: the network.
      params: its parameters.

    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: x @ (2 * w.T), jnp.ones((3, 4)), jnp.ones((2, 4)))
    >>> kernels = AppliedKernels(model, jnp.ones((3, 4)))
    >>> (place,) = kernels.values
    >>> kernels.values[place].shape, float(kernels.write({place: jnp.ones((4, 3))})[0, 0])
    ((4, 3), 0.5)
    """

    values: dict[Place, Array]
    """The applied kernels by the place of their contraction; with a leading axis for each loop."""

    def __init__(self, model: Model, params: PyTree) -> None:
        self._leaves, self._structure = jax.tree.flatten(params)
        joined = {path for paths in model.joined_kernels for path in paths}
        parts = {place for place, path in enumerate(model.paths) if path in joined}
        self._indices = sorted({each.kernel for each in model.contractions} | parts)
        self._given = [self._leaves[index] for index in self._indices]
        self._apply = partial(_apply_kernels, model, self._leaves, self._indices)
        self.values, self._pull = jax.vjp(self._apply, self._given)

    def means(self, values: Mapping[Place, Array], weights: Mapping[Place, Array]) -> list[Array]:
        """Return values of applied kernels in the shapes of the parameters.

        Where an entry of a parameter is applied in several places, this is the weighted mean of the
        values there; 1 where all weights are 0.

        Args:
          values: values by place, which broadcast to the applied kernel.
          weights: weights of the values, in the same form.
        """
        shapes = {place: self.values[place].shape for place in values}
        totals = {place: jnp.broadcast_to(weights[place], shapes[place]) for place in values}
        given = {place: total * values[place] for place, total in totals.items()}
        pairs = zip(self._carry(given), self._carry(totals), strict=True)
        return [_divide(total, count) for total, count in pairs]

    def multiply(self, factors: Sequence[Array]) -> PyTree:
        """Return the parameters with kernels that are multiplied by factors.

        Args:
          factors: factors in the order and the shapes of `means`.
        """
        return self._replace([leaf * by for leaf, by in zip(self._given, factors, strict=True)])

    def write(self, kernels: Mapping[Place, Array]) -> PyTree:
        """Return the parameters for which some applied kernels have given values.

        Entries of parameters that these kernels do not have keep their values.

        Args:
          kernels: values by place, in the shapes of the applied kernels.
        """
        # For an applied kernel c * w the transpose carries c * kernel, and c * c for constants.
        ones = jax.tree.map(jnp.ones_like, self._given)
        _, constants = jax.jvp(self._apply, (self._given,), (ones,))
        squares = self._carry({place: constants[place] for place in kernels})
        carried = self._carry(kernels)
        leaves = zip(self._given, carried, squares, strict=True)
        return self._replace(
            [jnp.where(square == 0, leaf, _divide(value, square)) for leaf, value, square in leaves]
        )

    def _carry(self, values: Mapping[Place, Array]) -> list[Array]:
        """Return the transpose of the map, applied to values by place; others count as zero."""
        complete = {
            place: values[place].astype(value.dtype) if place in values else jnp.zeros_like(value)
            for place, value in self.values.items()
        }
        return self._pull(complete)[0]

    def _replace(self, kernels: Sequence[Array]) -> PyTree:
        leaves = list(self._leaves)
        for index, kernel in zip(self._indices, kernels, strict=True):
            leaves[index] = kernel.astype(leaves[index].dtype)
        return jax.tree.unflatten(self._structure, leaves)


def _apply_kernels(
    model: Model, leaves: Sequence[Array], indices: Sequence[int], kernels: Sequence[Array]
) -> dict[Place, Array]:
    """Return the kernels that are applied if some parameters have given values."""
    by_index = dict(zip(indices, kernels, strict=True))
    given = [by_index.get(index, leaf) for index, leaf in enumerate(leaves)]
    inputs = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(list(model.inputs))]
    taps = {
        each.place: partial(_observe_kernel, each.signal_operand) for each in model.contractions
    }
    last = max((each.place[0] for each in model.contractions), default=-1)
    graph = replace(model.graph, operations=model.graph.operations[: last + 1], outputs=())
    return apply_taps(graph, [*given, *inputs], taps)[1]


def _observe_kernel(
    signal_operand: int, operands: Sequence[Any], result: Any, probe: Any
) -> tuple[Any, Any]:
    """Observe the kernel; what follows is no function of the parameters any more."""
    del probe
    return jax.lax.stop_gradient(result), operands[1 - signal_operand]


def _divide(value: Array, by: Array) -> Array:
    """Return a quotient; 1 where the divisor is zero."""
    return jnp.where(by == 0, 1, value / jnp.where(by == 0, 1, by))
