"""Draw a kernel in blocks of units, each by a separate initializer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers import Initializer
from jinit.initializers.marginals import Marginal
from jinit.model import UnitBlocks
from jinit.programs.parameters import SharedKey


@dataclass(frozen=True, repr=False)
class JoinedKernel(Initializer):
    """A kernel `(..., in, out)` whose units are drawn in blocks, such as fused queries and keys.

    Each block is drawn like a separate kernel, from a key derived from the kernel's; a draw that
    is shared with another kernel uses the kernel's key itself.
    """

    name = "joined"
    positional = ("initializers",)
    initializers: tuple[Callable[..., Array] | SharedKey, ...]
    """Initializers of the blocks; with one more than there are blocks, the last is for the rest."""
    blocks: tuple[UnitBlocks, ...]

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw every block and put its units in their place."""
        pairs = self._units(shape[-1])
        drawn = [
            _draw_block(initializer, jax.random.fold_in(key, index), key, shape, len(units), dtype)
            for index, (initializer, units) in enumerate(pairs)
        ]
        order = np.argsort(np.concatenate([units for _, units in pairs]))
        return jnp.concatenate(drawn, -1)[..., order]

    def marginal(self, shape: Sequence[int]) -> Marginal | None:
        """Return the distribution of an entry; None if blocks differ or one does not state it."""
        first, *others = [
            initializer.marginal((*shape[:-1], len(units)))
            if hasattr(initializer, "marginal")
            else None
            for initializer, units in self._units(shape[-1])
        ]
        return first if all(other == first for other in others) else None

    def _units(self, total: int) -> list[tuple[Any, np.ndarray]]:
        """Return every initializer with the numbers of its units."""
        numbers = [blocks.numbers(total) for blocks in self.blocks]
        rest = np.setdiff1d(np.arange(total), np.concatenate(numbers))
        return list(zip(self.initializers, (*numbers, rest), strict=False))


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
