"""Initial parameters by configuration and seed: drawn for many seeds at once, shared by lanes."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jinit.sweep.plan import Member

# What may be drawn ahead of its use, for the seeds that come next.
_AHEAD_BYTES = 2**26


class Draws:
    """Draws on demand; configurations that start from equal parameters share one draw.

    Not one compiled program draws the whole network, but one small one per distribution and shape,
    which all initializers and all layers share.
    """

    def __init__(self, seeds: np.ndarray) -> None:
        self._seeds = seeds.astype(np.uint32)
        self._draw: str | None = None
        self._rows = range(0)
        self._params: Any = None

    def of(self, member: Member, rows: Sequence[int]) -> Any:
        """Initial parameters of a configuration for the seeds at consecutive `rows`, stacked."""
        if member.draw != self._draw or not set(rows) <= set(self._rows):
            self._rows = self._worth_drawing(member, rows)
            keys = jax.vmap(jax.random.key)(self._seeds[self._rows])
            self._params = jax.tree.map(np.asarray, jax.vmap(member.init)(keys))
            self._draw = member.draw
        wanted = slice(rows[0] - self._rows[0], rows[-1] + 1 - self._rows[0])
        return jax.tree.map(lambda leaf: leaf[wanted], self._params)

    def _worth_drawing(self, member: Member, rows: Sequence[int]) -> range:
        """The rows asked for, and as many of the following ones as memory allows."""
        leaves = jax.tree.leaves(member.model.params)
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        ahead = max(len(rows), _AHEAD_BYTES // max(size, 1))
        return range(rows[0], min(rows[0] + ahead, len(self._seeds)))
