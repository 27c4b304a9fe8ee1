"""Initial parameters: those of the seed, whatever else is drawn with them and how often."""

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from sweep.small import shallow, task

import jinit
from jinit.sweep import draws as module
from jinit.sweep.draws import Draws
from jinit.sweep.plan import plan, traced_axes

SEEDS = np.array([3, 1, 4, 15, 9])


@pytest.fixture
def members():
    space = jinit.grid(init=["he_normal", "orthogonal"], lr=[1e-2, 1e-1])
    traced = traced_axes(space.names, optax.adam)
    return plan(space.configs(), shallow, task(), optax.adam, traced)[0].members


def assert_of_its_seed(member, params, rows):
    for lane, row in enumerate(rows):
        alone = member.init(jax.random.key(SEEDS[row]))
        for mine, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(mine[lane], theirs)


@pytest.mark.parametrize("ahead", [0, 2**26, pytest.param(2**10, marks=pytest.mark.slow)])
def test_each_lane_starts_from_the_draw_of_its_seed(members, monkeypatch, ahead):
    monkeypatch.setattr(module, "_AHEAD_BYTES", ahead)
    draws = Draws(SEEDS)
    for member, rows in [
        (members[0], [0, 1]), (members[0], [2, 3, 4]), (members[1], [0, 1, 2]),
        (members[2], [3]), (members[3], [0, 1, 2, 3, 4]), (members[0], [4]),
    ]:  # fmt: skip
        assert_of_its_seed(member, draws.of(member, rows), rows)


def test_configurations_with_equal_starts_share_one_draw(members):
    calls = []

    def counted(member):
        def init(key):
            calls.append(member.draw)
            return member.init(key)

        return replace(member, init=init)

    draws = Draws(SEEDS)
    for member in map(counted, members):
        for rows in ([0, 1, 2], [3, 4]):
            draws.of(member, rows)
    assert calls == [members[0].draw, members[2].draw]
