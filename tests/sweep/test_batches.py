"""The order of the data: permutations that depend on the seed only."""

import numpy as np
import pytest

from jinit.sweep.batches import Batches


def steps(batches, seed_index, first, count):
    return batches.example_indices(np.array([seed_index]), first, count)[0]


@pytest.mark.parametrize(("examples", "batch"), [(12, 4), (14, 4), (5, 5), (7, 1)])
def test_an_epoch_is_a_permutation_without_its_remainder(examples, batch):
    batches, per_epoch = Batches(np.array([3]), examples, batch), examples // batch
    indices = steps(batches, 0, 0, 4 * per_epoch).reshape(4, -1)
    for epoch in indices:
        assert len(set(epoch)) == per_epoch * batch
        assert set(epoch) <= set(range(examples))
    assert indices.shape == (4, per_epoch * batch)
    if examples == 14:  # another remainder each time
        assert len({frozenset(epoch) for epoch in indices.tolist()}) > 1


def test_epochs_and_seeds_differ():
    batches = Batches(np.array([0, 1, 0]), 64, 16)
    epochs = steps(batches, 0, 0, 8).reshape(2, -1)
    assert (epochs[0] != epochs[1]).any()
    assert (steps(batches, 1, 0, 4) != steps(batches, 0, 0, 4)).any()
    np.testing.assert_array_equal(steps(batches, 2, 0, 8), steps(batches, 0, 0, 8))


def test_steps_do_not_depend_on_the_chunks_they_are_asked_in():
    batches = Batches(np.array([7, 8]), 30, 4)
    indices = batches.example_indices(np.array([1, 0]), 0, 40)
    pieces = [batches.example_indices(np.array([1, 0]), first, 5) for first in range(0, 40, 5)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), indices)
    fresh = Batches(np.array([8]), 30, 4).example_indices(np.array([0]), 23, 9)
    np.testing.assert_array_equal(fresh[0], indices[0, 23:32])
    assert indices.shape == (2, 40, 4)
    assert indices.dtype == np.int32
