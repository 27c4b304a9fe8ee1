"""Initial parameters depend on the seed only, not on what is drawn together."""

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from sweep.small import shallow, task

import jinit
from jinit.sweep import initial_parameters as module
from jinit.sweep.groups import group_configs
from jinit.sweep.initial_parameters import InitialParameters
from jinit.sweep.optimizers import find_traced_axes

SEEDS = np.array([3, 1, 4, 15, 9])


@pytest.fixture
def members():
    space = jinit.grid(init=["he_normal", "orthogonal"], lr=[1e-2, 1e-1])
    traced = find_traced_axes(space.names, optax.adam)
    return group_configs(space.configs(), shallow, task(), optax.adam, traced)[0].members


def assert_drawn_from_seeds(member, params, seed_indices):
    for lane, seed_index in enumerate(seed_indices):
        alone = member.init(jax.random.key(SEEDS[seed_index]))
        for leaf, expected in zip(jax.tree.leaves(params), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(leaf[lane], expected)


@pytest.mark.parametrize("predraw_bytes", [0, 2**26, pytest.param(2**10, marks=pytest.mark.slow)])
def test_each_lane_has_the_initial_parameters_of_its_seed(members, monkeypatch, predraw_bytes):
    monkeypatch.setattr(module, "_PREDRAW_BYTES", predraw_bytes)
    draws = InitialParameters(SEEDS)
    for index, seed_indices in [
        (0, [0, 1]),
        (0, [2, 3, 4]),
        (1, [0, 1, 2]),
        (2, [3]),
        (3, [0, 1, 2, 3, 4]),
        (0, [4]),
    ]:
        params = draws.draw(members[index], seed_indices)
        assert_drawn_from_seeds(members[index], params, seed_indices)


def test_configurations_with_equal_initial_parameters_share_one_draw(members):
    calls = []

    def counted(member):
        def init(key):
            calls.append(member.init_fingerprint)
            return member.init(key)

        return replace(member, init=init)

    draws = InitialParameters(SEEDS)
    for member in map(counted, members):
        for seed_indices in ([0, 1, 2], [3, 4]):
            draws.draw(member, seed_indices)
    assert calls == [members[0].init_fingerprint, members[2].init_fingerprint]
