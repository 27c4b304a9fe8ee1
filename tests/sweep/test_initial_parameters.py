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
from jinit.sweep.optimizers import training_axes

SEEDS = np.array([3, 1, 4, 15, 9])


@pytest.fixture
def members():
    space = jinit.grid(init=["he_normal", "orthogonal"], lr=[1e-2, 1e-1])
    axes = training_axes(space, optax.adam)
    return group_configs(space.configs(), shallow, task(), optax.adam, axes)[0].members


def assert_drawn_from_seeds(params, lanes):
    for number, (member, seed_index) in enumerate(lanes):
        alone = member.init(jax.random.key(SEEDS[seed_index]))
        for leaf, expected in zip(jax.tree.leaves(params), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(leaf[number], expected)


@pytest.mark.parametrize("predraw_bytes", [0, 2**26, pytest.param(2**10, marks=pytest.mark.slow)])
def test_each_lane_has_the_initial_parameters_of_its_seed(members, monkeypatch, predraw_bytes):
    monkeypatch.setattr(module, "_PREDRAW_BYTES", predraw_bytes)
    draws = InitialParameters(SEEDS, members)
    lanes = [(member, seed_index) for seed_index in range(len(SEEDS)) for member in members]
    for width in (3, 7, 10):
        for first in range(0, len(lanes), width):
            block = lanes[first : first + width]
            assert_drawn_from_seeds(draws.draw(block), block)


def test_configurations_with_equal_initial_parameters_share_one_draw(members):
    calls = []

    def counted(member):
        def init(key):
            calls.append(member.init_fingerprint)
            return member.init(key)

        return replace(member, init=init)

    counting = [counted(member) for member in members]
    draws = InitialParameters(SEEDS, counting)
    for seed_index in range(len(SEEDS)):
        draws.draw([(member, seed_index) for member in counting])
    assert calls == [members[0].init_fingerprint, members[2].init_fingerprint]
