"""Draw a kernel in blocks of units, each by an initializer of its own."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers import Initializer
from jinit.model import UnitBlocks
from jinit.programs.parameters import SharedKey


@dataclass(frozen=True, repr=False)
class JoinedKernel(Initializer):
    """A kernel `(..., in, out)` whose units are drawn in blocks, such as fused queries and keys.

    Each block is drawn like a kernel of its own, from a key derived from the kernel's; a draw that
    is shared with another kernel uses the kernel's key itself.
    """

    name = "joined"
    positional = ("initializers",)
    initializers: tuple[Callable[..., Array] | SharedKey, ...]
    """Initializers of the blocks; with one more than there are blocks, the last is for the rest."""
    blocks: tuple[UnitBlocks, ...]

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw every block and put its units in their place."""
        numbers = [blocks.numbers(shape[-1]) for blocks in self.blocks]
        rest = np.setdiff1d(np.arange(shape[-1]), np.concatenate(numbers))
        pairs = zip(self.initializers, (*numbers, rest), strict=False)
        drawn = [
            _draw_block(initializer, jax.random.fold_in(key, index), key, shape, len(units), dtype)
            for index, (initializer, units) in enumerate(pairs)
            if len(units)
        ]
        order = np.argsort(np.concatenate([*numbers, rest]), kind="stable")
        return jnp.concatenate(drawn, -1)[..., order]


def _draw_block(
    initializer: Callable[..., Array] | SharedKey,
    own_key: Array,
    shared_key: Array,
    shape: tuple[int, ...],
    units: int,
    dtype: np.dtype,
) -> Array:
    block_shape = (*shape[:-1], units)
    if isinstance(initializer, SharedKey):
        return initializer.initializer(shared_key, block_shape, dtype)
    return initializer(own_key, block_shape, dtype)
