"""Initial states by configuration and seed: drawn for many seeds at once, shared by lanes."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model import PyTree
from jinit.sweep.data_methods import name_methods
from jinit.sweep.groups import Group, Member
from jinit.sweep.lanes import to_host

_PREDRAW_BYTES = 2**26
"""Bytes of states that may be drawn in advance."""

_Start = tuple[int, tuple[Any, ...]]
"""Place of a seed among all seeds, and the traced numbers that the draw depends on."""


class _Drawn(NamedTuple):
    """States of consecutive starts."""

    first: int
    starts: int
    state: PyTree
    """Every leaf has a leading axis of starts."""


class InitialStates:
    """Initial states, drawn when they are asked for.

    Configurations with equal initial states share one draw. Drawing runs the initialization
    without compiling it as a whole, so that initializations share the programs of distributions
    and shapes.

    Args:
      group: the configurations.
      seeds: the seeds of the sweep.
      wait: waits until arrays are computed; methods that look at data may take minutes.
      announce: called with what is done before a draw by such methods, which first compiles them.
    """

    def __init__(
        self,
        group: Group,
        seeds: np.ndarray,
        wait: Callable[[Any], Any] = jax.block_until_ready,
        announce: Callable[[str], object] = str,
    ) -> None:
        self._group, self._wait, self._announce = group, wait, announce
        self._seeds = seeds.astype(np.uint32)
        self._starts = {
            fingerprint: _list_starts(members, len(seeds))
            for fingerprint, members in _by_fingerprint(group.members).items()
        }
        self._drawn: dict[str, _Drawn] = {}
        self._cost: dict[str, list[float]] = {}
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(group.state))
        self._affordable = _PREDRAW_BYTES // max(size * len(self._starts), 1)

    def draw(self, lanes: Sequence[tuple[Member, int]]) -> PyTree:
        """Draw the initial states of lanes.

        Args:
          lanes: the configuration of each lane and the place of its seed among all seeds.

        Returns:
          The states as NumPy arrays, or JAX arrays of keys, with a leading axis of lanes.
        """
        asked = [(member, self.start(member, seed)) for member, seed in lanes]
        places = [(member, self._starts[member.init_fingerprint][start]) for member, start in asked]
        last = {}
        for member, place in places:
            fingerprint = member.init_fingerprint
            last[fingerprint] = max(place, last.get(fingerprint, 0))
        trees = []
        for member, place in places:
            drawn = self._draw(member, place, last[member.init_fingerprint])
            index = place - drawn.first
            trees.append(jax.tree.map(lambda leaf, index=index: leaf[index], drawn.state))
        return jax.tree.map(_stack, *trees)

    def seconds(self, member: Member) -> float:
        """Return the mean seconds of one draw of a configuration, compilation included.

        Args:
          member: the configuration.
        """
        seconds, count = self._cost.get(member.init_fingerprint, [0.0, 0])
        return seconds / max(count, 1)

    @staticmethod
    def start(member: Member, seed_index: int) -> _Start:
        """Return what an initial state of a configuration depends on, besides its fingerprint."""
        return seed_index, tuple(member.numbers[name] for name in member.init_numbers)

    def _draw(self, member: Member, first: int, last: int) -> _Drawn:
        """Return draws that hold a start, and if they are new, all starts up to a last one."""
        fingerprint = member.init_fingerprint
        drawn = self._drawn.get(fingerprint)
        if drawn is None or not drawn.first <= first < drawn.first + drawn.starts:
            starts = list(self._starts[fingerprint])
            count = max(last + 1 - first, self._affordable)
            drawn = self._run_init(member, first, starts[first : first + count])
            self._drawn[fingerprint] = drawn
        return drawn

    def _run_init(self, member: Member, first: int, starts: Sequence[_Start]) -> _Drawn:
        seeds = self._seeds[[seed_index for seed_index, _ in starts]]
        numbers = {
            name: jnp.full(len(starts), value, self._group.dtypes[name])
            for name, value in member.numbers.items()
        }
        for place, name in enumerate(member.init_numbers):
            values = [numbers_used[place] for _, numbers_used in starts]
            numbers[name] = jnp.asarray(np.array(values, self._group.dtypes[name]))
        begin_time = time.perf_counter()
        if methods := name_methods(member.config):
            self._announce(f"applying {methods}")
        state = jax.vmap(member.init)(jax.vmap(jax.random.key)(seeds), numbers)
        self._wait(state)
        drawn = _Drawn(first, len(starts), jax.tree.map(to_host, state))
        cost = self._cost.setdefault(member.init_fingerprint, [0.0, 0])
        cost[0] += time.perf_counter() - begin_time
        cost[1] += len(starts)
        return drawn


def _stack(*leaves: Any) -> Any:
    return np.stack(leaves) if isinstance(leaves[0], np.ndarray | np.generic) else jnp.stack(leaves)


def _by_fingerprint(members: Iterable[Member]) -> dict[str, list[Member]]:
    found: dict[str, list[Member]] = {}
    for member in members:
        found.setdefault(member.init_fingerprint, []).append(member)
    return found


def _list_starts(members: Sequence[Member], seeds: int) -> dict[_Start, int]:
    """Return the distinct starts with their places, seeds outermost."""
    starts = [InitialStates.start(member, seed) for seed in range(seeds) for member in members]
    return {start: place for place, start in enumerate(dict.fromkeys(starts))}
