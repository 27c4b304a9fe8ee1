"""Initial parameters by configuration and seed: drawn for many seeds at once, shared by lanes."""

from collections.abc import Sequence

import jax
import numpy as np

from jinit.model.params import PyTree
from jinit.sweep.groups import Member

_PREDRAW_BYTES = 2**26
"""Bytes of parameters that may be drawn in advance for the next seeds."""


class InitialParameters:
    """Initial parameters, drawn when they are asked for.

    Configurations with equal initial parameters share one draw. Drawing uses one small program per
    distribution and shape, shared by all initializers and layers, in place of one program for the
    network.
    """

    def __init__(self, seeds: np.ndarray) -> None:
        self._seeds = seeds.astype(np.uint32)
        self._fingerprint: str | None = None
        self._seed_indices = range(0)
        self._params: PyTree = None

    def draw(self, member: Member, seed_indices: Sequence[int]) -> PyTree:
        """Draw the initial parameters of a configuration for some seeds.

        Args:
          member: the configuration.
          seed_indices: places of the seeds among all seeds, consecutive.

        Returns:
          The parameters, every leaf with a leading axis of seeds.
        """
        is_drawn = set(seed_indices) <= set(self._seed_indices)
        if member.init_fingerprint != self._fingerprint or not is_drawn:
            self._seed_indices = self._choose_seed_indices(member, seed_indices)
            keys = jax.vmap(jax.random.key)(self._seeds[self._seed_indices])
            self._params = jax.tree.map(np.asarray, jax.vmap(member.init)(keys))
            self._fingerprint = member.init_fingerprint
        first = self._seed_indices[0]
        places = slice(seed_indices[0] - first, seed_indices[-1] + 1 - first)
        return jax.tree.map(lambda leaf: leaf[places], self._params)

    def _choose_seed_indices(self, member: Member, seed_indices: Sequence[int]) -> range:
        """Return the seeds asked for and as many of the next ones as `_PREDRAW_BYTES` allows."""
        leaves = jax.tree.leaves(member.model.params)
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        count = max(len(seed_indices), _PREDRAW_BYTES // max(size, 1))
        return range(seed_indices[0], min(seed_indices[0] + count, len(self._seeds)))
