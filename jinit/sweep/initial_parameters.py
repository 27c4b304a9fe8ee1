"""Initial parameters by configuration and seed: drawn for many seeds at once, shared by lanes."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jinit.model.params import PyTree
from jinit.sweep.groups import Member

_PREDRAW_BYTES = 2**26
"""Bytes of parameters that may be drawn in advance for the next seeds of all configurations."""


class _Drawn(NamedTuple):
    """Initial parameters of consecutive seeds."""

    first: int
    """Place of the first seed among all seeds."""
    seeds: int
    """Number of seeds."""
    params: PyTree
    """Every leaf has a leading axis of seeds."""


class InitialParameters:
    """Initial parameters, drawn when they are asked for.

    Configurations with equal initial parameters share one draw. Drawing uses one small program per
    distribution and shape, shared by all initializers and layers, in place of one program for the
    network.

    Args:
      seeds: the seeds of the sweep.
      members: the configurations.
    """

    def __init__(self, seeds: np.ndarray, members: Iterable[Member]) -> None:
        self._seeds = seeds.astype(np.uint32)
        self._fingerprints = len({member.init_fingerprint for member in members})
        self._drawn: dict[str, _Drawn] = {}

    def draw(self, lanes: Sequence[tuple[Member, int]]) -> PyTree:
        """Draw the initial parameters of lanes.

        Args:
          lanes: the configuration of each lane and the place of its seed among all seeds.

        Returns:
          The parameters as NumPy arrays, every leaf with a leading axis of lanes.
        """
        asked: dict[str, list[int]] = {}
        for member, seed_index in lanes:
            asked.setdefault(member.init_fingerprint, []).append(seed_index)
        trees = []
        for member, seed_index in lanes:
            drawn = self._draw(member, seed_index, max(asked[member.init_fingerprint]))
            place = seed_index - drawn.first
            trees.append(jax.tree.map(lambda leaf, place=place: leaf[place], drawn.params))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)

    def _draw(self, member: Member, first: int, last: int) -> _Drawn:
        """Return draws that hold a seed, and if they are new, all seeds up to a last one."""
        drawn = self._drawn.get(member.init_fingerprint)
        if drawn is None or not drawn.first <= first < drawn.first + drawn.seeds:
            count = max(last + 1 - first, self._affordable_seeds(member))
            seeds = self._seeds[first : first + count]
            params = jax.vmap(member.init)(jax.vmap(jax.random.key)(seeds))
            drawn = _Drawn(first, len(seeds), jax.tree.map(np.asarray, params))
            self._drawn[member.init_fingerprint] = drawn
        return drawn

    def _affordable_seeds(self, member: Member) -> int:
        leaves = jax.tree.leaves(member.model.params)
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        return _PREDRAW_BYTES // max(size * self._fingerprints, 1)
