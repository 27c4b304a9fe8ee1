"""The number of the block of a residual branch, from the execution order of the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers import Initializer, scaled
from jinit.model import Leaf
from jinit.rules.match import RuleError


@dataclass(frozen=True, repr=False)
class PerLayer(Initializer):
    """Entrywise initializer for stacked layers, with one factor per layer."""

    is_entrywise = True
    name = "per_layer"
    positional = ("initializer", "factors")
    initializer: Initializer
    factors: tuple[float, ...]
    axis: int

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw the initializer's values, times the factor of each layer."""
        values = self.initializer.draw(key, shape, dtype)
        factor_shape = [len(self.factors) if axis == self.axis else 1 for axis in range(len(shape))]
        return values * jnp.asarray(self.factors, values.dtype).reshape(factor_shape)


def scale_layers(initializer: Initializer, factors: Sequence[float], leaf: Leaf) -> Initializer:
    """Return the initializer times one factor for each layer that the parameter holds."""
    if len(set(factors)) == 1:
        return scaled(initializer, factors[0])
    axis = leaf.axes.index("stacked")
    return PerLayer(initializer=initializer, factors=tuple(factors), axis=axis)


def block_numbers(leaf: Leaf, leaves: Sequence[Leaf], branches: int = 2) -> tuple[int, ...]:
    """Return the numbers of the blocks whose kernels a parameter holds.

    The branches of one residual stream are counted in execution order, those of an encoder apart
    from those of a decoder. A loop over stacked layers counts the branches of every iteration, so
    that a parameter with L stacked layers belongs to L blocks.

    Args:
      leaf: the parameter.
      leaves: all parameters of the model, in execution order.
      branches: residual branches per block.

    Raises:
      RuleError: if the parameter is not in a residual branch.
    """
    preceding = 0
    stream = [other for other in leaves if other.stream == leaf.stream]
    for iterations, numbers in _group_branches(stream):
        if leaf.branch in numbers:
            first = preceding + numbers.index(leaf.branch)
            return tuple((first + step * len(numbers)) // branches for step in range(iterations))
        preceding += iterations * len(numbers)
    raise RuleError(
        f"{leaf.path}: expected a parameter of a residual branch, because its scale depends on the "
        "number of the block, but no branch was found; put a rule for this path first"
    )


def _group_branches(leaves: Sequence[Leaf]) -> list[tuple[int, list[int]]]:
    """Return (iterations, branch numbers) of each loop, and of each branch outside of loops."""

    def loop(branch: tuple[int, int]) -> tuple[int, int | None]:
        number, iterations = branch
        return iterations, number if iterations == 1 else None

    iterations = {leaf.branch: leaf.stacked_layers for leaf in leaves if leaf.branch is not None}
    groups = groupby(sorted(iterations.items()), loop)
    return [(count, [number for number, _ in group]) for (count, _), group in groups]
