"""Tasks: included data sets, arrays of the user, and arrays that cannot work."""

import importlib.util
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets

import jinit
from jinit.sweep import cross_entropy, squared_error

X, Y = np.ones((12, 4)), np.arange(12) % 3


def make(**changes):
    return jinit.Task(
        **{"name": "mine", "train": (X, Y), "validation": (X, Y), "batch_size": 4} | changes
    )


@pytest.mark.parametrize(
    ("task", "loader"),
    [
        (jinit.tasks.digits(), datasets.load_digits),
        (jinit.tasks.breast_cancer(), datasets.load_breast_cancer),
    ],
    ids=["digits", "breast_cancer"],
)
def test_the_included_tasks(task, loader):
    inputs, targets = loader(return_X_y=True)
    parts = [task.train, task.validation]
    assert sum(len(part[0]) for part in parts) == len(inputs)
    assert len(task.train[0]) == int(0.8 * len(inputs))
    assert sorted(np.concatenate([part[1] for part in parts])) == sorted(targets)
    assert task.classes == len(set(targets)) == task.outputs
    assert task.train[0].dtype == np.float32
    assert np.square(task.train[0]).mean() == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(task.train[0].mean(0), 0, atol=1e-5)


def test_the_split_is_always_the_same():
    one, other = jinit.tasks.digits(), jinit.tasks.digits(batch_size=7)
    np.testing.assert_array_equal(one.train[0], other.train[0])
    assert (one.batch_size, other.batch_size) == (64, 7)


@pytest.mark.parametrize("build", [jinit.tasks.digits, jinit.tasks.breast_cancer])
def test_a_test_set_is_half_of_the_examples_to_validate_on(build):
    whole, split = build(), build(with_test=True)
    np.testing.assert_array_equal(split.train[0], whole.train[0])
    for place in (0, 1):
        parts = [part[place] for part in (split.validation, split.test)]
        np.testing.assert_array_equal(np.concatenate(parts), whole.validation[place])
    assert whole.test is None
    assert len(split.test[0]) - len(split.validation[0]) in (0, 1)


def test_images_are_the_same_digits():
    flat, images = jinit.tasks.digits(), jinit.tasks.digits(images=True)
    assert images.validation[0].shape == (360, 8, 8, 1)
    np.testing.assert_array_equal(images.train[0].reshape(-1, 64), flat.train[0])


def test_pixels_that_never_light_up_stay_zero():
    inputs, _ = datasets.load_digits(return_X_y=True)
    dark = (inputs == 0).all(0)
    assert dark.any()
    assert (jinit.tasks.digits().train[0][:, dark] == 0).all()


def test_integer_targets_are_classes_and_floating_targets_are_not():
    assert (make().classes, make().outputs) == (3, 3)
    regression = make(train=(X, X[:, :2]), validation=(X, X[:, :2]))
    assert (regression.classes, regression.outputs) == (None, 2)
    flat = make(train=(X, X[:, 0]), validation=(X, X[:, 0]))
    assert (flat.classes, flat.outputs) == (None, 1)
    late = make(validation=(X, np.full(12, 6)))
    assert late.classes == 7


def test_losses():
    logits = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    expected = np.log(np.exp(logits).sum(1)) - logits[[0, 1], [2, 0]]
    losses = cross_entropy(jnp.asarray(logits, jnp.float32), jnp.array([2, 0]))
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    outputs, targets = np.arange(12.0).reshape(2, 3, 2), np.ones((2, 3, 2))
    expected = ((outputs - targets) ** 2).reshape(2, -1).mean(1)
    np.testing.assert_allclose(squared_error(jnp.asarray(outputs), jnp.asarray(targets)), expected)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"train": X}, r"task 'mine': train must be a pair \(inputs, targets\) or a"),
        ({"train": (X, Y[:5])}, "train has 12 inputs and 5 targets; expected the same number"),
        (
            {"validation": (X[:0], Y[:0])},
            "validation has arrays with \\[0\\] examples .* at least one",
        ),
        ({"train": (X * np.nan, Y)}, "train has NaN or infinity; clean it first"),
        ({"validation": (X, X[:, 0] * np.inf)}, "validation has NaN or infinity"),
        ({"batch_size": 0}, "batch_size=0, expected an integer from 1 to 12, the number of tr"),
        ({"batch_size": 13}, "batch_size=13, expected an integer from 1 to 12"),
        ({"batch_size": "4"}, "batch_size='4', expected an integer from 1 to 12"),
    ],
)
def test_arrays_that_cannot_work(changes, text):
    with pytest.raises(ValueError, match=text):
        make(**changes)


@pytest.mark.parametrize("load", [jinit.tasks.digits, jinit.tasks.breast_cancer])
def test_tables_are_those_of_scikit_learn(load, monkeypatch):
    read = load()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # no table is found
    for mine, theirs in zip(read.train, load().train, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(
        ImportError, match=r"task 'digits' needs sklearn, which is not installed.*jinit\[data"
    ):
        jinit.tasks.digits()


def test_chance_of_a_regression_is_the_loss_of_the_best_constant():
    x = np.ones((8, 3), np.float32)
    y = np.arange(8, dtype=np.float32)
    assert jinit.Task("r", (x, y), (x, y), 4).chance == pytest.approx(np.var(y))


@pytest.mark.parametrize("targets", [np.arange(8)[:, None] % 2, np.arange(8) % 2 * 2 - 1])
def test_integer_targets_that_are_not_classes_are_refused(targets):
    x = np.ones((8, 3), np.float32)
    with pytest.raises(ValueError, match="integer targets are classes"):
        jinit.Task("r", (x, targets), (x, targets), 4)


def test_yes_and_no_are_two_classes():
    x, y = np.ones((8, 3), np.float32), np.arange(8) > 3
    assert jinit.Task("r", (x, y), (x, y), 4).classes == 2
