"""The order of the data: permutations that depend on the seed only."""

import jax
import numpy as np
import optax
import pytest
from sweep.small import pair, sweep, task

import jinit
from jinit.record import read_outline_data
from jinit.sweep import batches as batches_module
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


def test_bootstrap_draws_one_sample_with_replacement_per_seed():
    """Every epoch shuffles the same sample, in which each example is 1 time on average."""
    examples, seeds = 500, np.arange(40)
    batches = Batches(seeds, examples, 100, bootstrap=True)
    epochs = np.sort(batches.example_indices(seeds, 0, 15).reshape(40, 3, examples))
    np.testing.assert_array_equal(epochs[:, 0], epochs[:, 1])
    np.testing.assert_array_equal(epochs[:, 0], epochs[:, 2])
    counts = np.stack([np.bincount(sample, minlength=examples) for sample in epochs[:, 0]])
    assert len({sample.tobytes() for sample in epochs[:, 0]}) == 40
    assert abs((counts == 0).mean() - (1 - 1 / examples) ** examples) < 4 * 0.5 / 20000**0.5
    assert abs(counts.var() - (1 - 1 / examples)) < 0.05  # binomial
    assert abs(counts.mean(0).std() * 40**0.5 - 1) < 0.2  # no example is preferred
    again = Batches(seeds[::-1], examples, 100, bootstrap=True)
    np.testing.assert_array_equal(steps(again, 0, 7, 8), steps(batches, 39, 7, 8))


@pytest.mark.slow
def test_bootstrap_of_a_sweep(tmp_path):
    """The loss of one full batch is the mean over the sample of the seed, for every start."""
    data = task(batch_size=90)
    one = sweep(
        pair, on=data, init=["he_normal", "lecun_normal"], lr=[0.0], seeds=3, steps=1,
        bootstrap=True, optimizer=optax.sgd,
    )  # fmt: skip
    frame = one.run(tmp_path / "out").frame()
    assert read_outline_data(tmp_path / "out")["bootstrap"] is True
    inputs, targets = data.train
    for _, row in frame.iterrows():
        init, apply = pair({"init": row["init"]})
        params = init(jax.random.key(row["seed"]))
        losses = jinit.sweep.cross_entropy(apply(params, inputs), targets)
        sample = Batches(np.array([row["seed"]]), 90, 90, bootstrap=True)
        expected = losses[steps(sample, 0, 0, 1)[0]].mean()
        assert row["train_loss"] == pytest.approx(float(expected), rel=1e-5)
        assert abs(expected - losses.mean()) > 1e-4


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (None, ValueError, "there are none: the sweep has no data; give arrays"),
        ("stream", ValueError, "the data is a stream"),
        ("yes", TypeError, "bootstrap"),
    ],
)
def test_bootstraps_that_cannot_work(data, error, text):
    trial = jinit.Trial(lambda key, hyper: hyper["lr"], lambda state, *_: (state, {"loss": state}))
    stream = None
    if data == "stream":
        stream = jinit.Data("stream", lambda: iter([np.ones((4, 2), np.float32)]))
    bootstrap = "yes" if data == "yes" else True
    with pytest.raises(error, match=text):
        jinit.Sweep(stream, trial, jinit.grid(lr=[0.1]), steps=1, bootstrap=bootstrap)


def test_old_epochs_are_forgotten_and_drawn_again(monkeypatch):
    """A sweep of many seeds and epochs does not keep the order of all of them."""
    seeds, places = np.arange(50), np.arange(50)
    expected = Batches(seeds, 32, 8).example_indices(places, 0, 12)
    monkeypatch.setattr(batches_module, "_CACHED_BYTES", 3 * 4 * 32)
    few = Batches(seeds, 32, 8)
    for _ in range(2):
        found = [few.example_indices(places[[place]], 0, 12)[0] for place in places]
        np.testing.assert_array_equal(found, expected)
        assert len(few._cached_epochs) == 3
