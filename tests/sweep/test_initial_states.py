"""Initial states depend on the seed only, not on what is drawn together."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from sweep.small import groups, shallow

from jinit.sweep import initial_states as module
from jinit.sweep.initial_states import InitialStates

SEEDS = np.array([3, 1, 4, 15, 9])


@pytest.fixture
def group():
    axes = {"init": ["he_normal", "orthogonal"], "gain": [1.0, 2.0], "lr": [1e-2, 1e-1]}
    return groups(shallow, **axes)[0]


def assert_drawn_from_seeds(state, lanes):
    for number, (member, seed_index) in enumerate(lanes):
        alone = member.init(jax.random.key(SEEDS[seed_index]), member.numbers)
        for leaf, expected in zip(jax.tree.leaves(state), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(leaf[number], expected)


@pytest.mark.few(1)
@pytest.mark.parametrize("predraw_bytes", [0, 2**26, pytest.param(2**10, marks=pytest.mark.slow)])
def test_each_lane_has_the_initial_parameters_of_its_seed(group, monkeypatch, predraw_bytes):
    monkeypatch.setattr(module, "_PREDRAW_BYTES", predraw_bytes)
    draws = InitialStates(group, SEEDS)
    lanes = [(member, seed_index) for seed_index in range(len(SEEDS)) for member in group.members]
    for width in (3, 7, 10):
        for first in range(0, len(lanes), width):
            block = lanes[first : first + width]
            assert_drawn_from_seeds(draws.draw(block), block)


def test_configurations_with_equal_initial_states_share_one_draw(group):
    calls = []

    def counted(member):
        def init(key, numbers):
            calls.append(member.init_fingerprint)
            return member.init(key, numbers)

        return replace(member, init=init)

    counting = replace(group, members=tuple(map(counted, group.members)))
    draws = InitialStates(counting, SEEDS)
    for seed_index in range(len(SEEDS)):
        draws.draw([(member, seed_index) for member in counting.members])
    he_normal, orthogonal = (group.members[place].init_fingerprint for place in (0, 4))
    assert calls == [he_normal, orthogonal]
    assert all(member.init_numbers == ("gain",) for member in group.members)
