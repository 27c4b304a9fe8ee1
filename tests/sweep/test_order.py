"""The order of the data: permutations, the same for a seed whatever asks for it."""

import numpy as np
import pytest

from jinit.sweep.order import Order


def steps(order, row, start, count):
    return order.batches(np.array([row]), start, count)[0]


@pytest.mark.parametrize(("examples", "batch"), [(12, 4), (14, 4), (5, 5), (7, 1)])
def test_an_epoch_is_a_permutation_without_its_remainder(examples, batch):
    order, per_epoch = Order(np.array([3]), examples, batch), examples // batch
    whole = steps(order, 0, 0, 4 * per_epoch).reshape(4, -1)
    for epoch in whole:
        assert len(set(epoch)) == per_epoch * batch
        assert set(epoch) <= set(range(examples))
    assert whole.shape == (4, per_epoch * batch)
    if examples == 14:  # another remainder each time
        assert len({frozenset(epoch) for epoch in whole.tolist()}) > 1


def test_epochs_and_seeds_differ():
    order = Order(np.array([0, 1, 0]), 64, 16)
    epochs = steps(order, 0, 0, 8).reshape(2, -1)
    assert (epochs[0] != epochs[1]).any()
    assert (steps(order, 1, 0, 4) != steps(order, 0, 0, 4)).any()
    np.testing.assert_array_equal(steps(order, 2, 0, 8), steps(order, 0, 0, 8))


def test_pieces_are_the_whole():
    order = Order(np.array([7, 8]), 30, 4)
    whole = order.batches(np.array([1, 0]), 0, 40)
    pieces = [order.batches(np.array([1, 0]), start, 5) for start in range(0, 40, 5)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    fresh = Order(np.array([8]), 30, 4).batches(np.array([0]), 23, 9)
    np.testing.assert_array_equal(fresh[0], whole[0, 23:32])
    assert whole.shape == (2, 40, 4)
    assert whole.dtype == np.int32
