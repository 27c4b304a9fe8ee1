"""How deep in the network a residual branch lies, read off the order of the computation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers import Initializer, scaled
from jinit.model import Leaf
from jinit.rules.match import RuleError
from jinit.rules.recipes.parts import copies


@dataclass(frozen=True, repr=False)
class PerLayer(Initializer):
    """An entrywise draw for stacked layers, each times a factor of its own."""

    entrywise = True
    name = "per_layer"
    leading = ("initializer", "factors")
    initializer: Initializer
    factors: tuple[float, ...]
    axis: int

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The initializer's draw, times the factor of each layer."""
        drawn = self.initializer.draw(key, shape, dtype)
        along = [len(self.factors) if axis == self.axis else 1 for axis in range(len(shape))]
        return drawn * jnp.asarray(self.factors, drawn.dtype).reshape(along)


def by_depth(initializer: Initializer, factors: Sequence[float], leaf: Leaf) -> Initializer:
    """The initializer times a factor, one for each layer that the parameter holds."""
    if len(set(factors)) == 1:
        return scaled(initializer, factors[0])
    return PerLayer(initializer, tuple(factors), leaf.axes.index("stacked"))


def blocks_of(leaf: Leaf, leaves: Sequence[Leaf], branches: int = 2) -> tuple[int, ...]:
    """Numbers of the blocks, of so many residual branches each, whose kernels a parameter holds.

    Branches count in execution order; those of a loop over stacked layers come step by step, so
    that a parameter of L stacked layers lies in L blocks.

    Raises:
      RuleError: the parameter lies in no residual branch.
    """
    start = 0
    for steps, numbers in _loops(leaves):
        if leaf.branch in numbers:
            place = start + numbers.index(leaf.branch)
            return tuple((place + step * len(numbers)) // branches for step in range(steps))
        start += steps * len(numbers)
    raise RuleError(
        f"{leaf.path} is to be scaled by the number of its block, but lies in no residual branch "
        "that can be read; give it a rule of its own in front"
    )


def _loops(leaves: Sequence[Leaf]) -> list[tuple[int, list[int]]]:
    """Neighbouring branches that a loop runs through equally often, or one outside of loops."""
    found = sorted(branches_of(leaves).items())
    groups = groupby(found, lambda each: (each[1], each[0] if each[1] == 1 else None))
    return [(steps, [number for number, _ in group]) for (steps, _), group in groups]


def branches_of(leaves: Sequence[Leaf]) -> dict[int, int]:
    """Every residual branch by number, with how many times a loop runs through it."""
    return {leaf.branch: copies(leaf) for leaf in leaves if leaf.branch is not None}
