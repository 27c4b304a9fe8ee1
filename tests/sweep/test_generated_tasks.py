"""Generated tasks and text: sizes, scales, splits, and the distribution that is described."""

import sys
from pydoc_data import topics

import numpy as np
import pytest

import jinit
from jinit.sweep import cross_entropy, squared_error
from jinit.sweep.signal_task import _correlated_noise, _curves, _draw_signals
from jinit.sweep.tasks import TASKS

GENERATED = ["mnist1d", "teacher_student", "teacher_student_classes"]


@pytest.mark.parametrize("name", ["digits", "breast_cancer", *GENERATED, "characters"])
def test_every_task_is_listed_and_always_the_same(name):
    assert getattr(jinit.tasks, name) is TASKS[name]
    one, other = TASKS[name](), TASKS[name](batch_size=8)
    assert (one.name, other.batch_size) == (name, 8)
    for part in ("train", "validation"):
        for array, same in zip(getattr(one, part), getattr(other, part), strict=True):
            np.testing.assert_array_equal(array, same)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", GENERATED[::-1])
def test_seeds_and_parts_differ(name):
    one, other = TASKS[name](seed=1), TASKS[name](seed=2)
    assert not np.allclose(one.train[0], other.train[0])
    inputs = np.concatenate([part[0] for part in (one.train, one.validation, one.test)])
    assert len(np.unique(inputs, axis=0)) == len(inputs)


def test_mnist1d():
    task = jinit.tasks.mnist1d()
    parts = (task.train, task.validation, task.test)
    assert [part[0].shape for part in parts] == [(4000, 40), (1000, 40), (1000, 40)]
    classes = np.concatenate([part[1] for part in parts])
    assert np.bincount(classes).tolist() == [600] * 10
    assert task.train[0].mean() == pytest.approx(0, abs=1e-5)
    assert task.train[0].std() == pytest.approx(1, rel=1e-5)


def test_curves_begin_and_end_at_zero_and_have_one_scale():
    curves = _curves()
    np.testing.assert_allclose(curves[:, [0, -1]], 0, atol=1e-12)
    np.testing.assert_allclose(curves.std(1), 1 / 6)


def test_a_signal_is_a_curve_that_was_dilated_scaled_shifted_and_sheared(monkeypatch):
    for name, value in {"_NOISE": 0, "_CORRELATED_NOISE": 0, "_SLOPE": (0, 0)}.items():
        monkeypatch.setattr(f"jinit.sweep.signal_task.{name}", value)
    signals = _draw_signals(np.zeros(2000, int), np.random.default_rng(0))
    # The curve of a zero has a flat top, which sampling preserves.
    heights = signals.max(1) / _curves()[0].max()
    assert 0.8 <= heights.min() < 0.81
    assert 1.19 < heights.max() <= 1.2
    # 12 of 48 to 72 points, and one more on either side where the end is cut by sampling.
    shares = (signals != 0).mean(1)
    assert 12 / 72 - 2 / 40 < shares.min() < shares.max() < 12 / 48 + 2 / 40
    assert len(np.unique(signals.argmax(1))) > 24


def test_correlated_noise():
    noise = _correlated_noise((4000, 72), np.random.default_rng(0)) / 0.25
    # Smoothing white noise by a Gaussian of width 2 leaves the variance 1 / (2 √π 2).
    middle = noise[:, 10:-10]
    assert middle.var() == pytest.approx(1 / (4 * np.sqrt(np.pi)), rel=0.03)
    neighbours = (middle[:, 1:] * middle[:, :-1]).mean() / middle.var()
    assert neighbours == pytest.approx(np.exp(-1 / 16), abs=0.01)


def test_characters_are_the_text_in_windows():
    task = jinit.tasks.characters(length=50)
    text = "\n".join(topics.topics[name] for name in sorted(topics.topics))
    vocabulary = "?" + "".join(sorted(set(text[: int(0.8 * len(text))])))
    parts = (task.train, task.validation, task.test)
    starts = (0, int(0.8 * len(text)), int(0.9 * len(text)))
    for (inputs, targets), start in zip(parts, starts, strict=True):
        decoded = "".join(vocabulary[place] for place in inputs[:3].ravel())
        assert decoded == text[start : start + 150]
        np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
        np.testing.assert_array_equal(inputs[1:, 0], targets[:-1, -1])
    assert task.outputs == len(vocabulary)
    assert (task.objective, task.train[0].dtype) == (cross_entropy, np.int32)
    assert sum(part[0].size for part in parts) > 0.99 * len(text)


def test_characters_outside_of_the_training_part_are_one_class(monkeypatch):
    monkeypatch.setattr(topics, "topics", {"a": "ab" * 400, "b": "az" * 99})
    task = jinit.tasks.characters(length=4)
    assert (task.outputs, set(task.train[1].ravel())) == (3, {1, 2})
    assert set(task.test[1].ravel()) == {0, 1}


@pytest.mark.parametrize("length", [0, 1.5, 10**6])
def test_a_length_that_cannot_work(length):
    with pytest.raises(ValueError, match="length: expected"):
        jinit.tasks.characters(length=length)


def test_a_python_without_the_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ImportError, match="'characters' needs the module pydoc_data of the stand"):
        jinit.tasks.characters()


def test_a_teacher_of_numbers():
    options = {"features": 3, "width": 5, "depth": 1, "outputs": 2, "examples": 200}
    task = jinit.tasks.teacher_student(**options)
    assert (task.objective, task.outputs, task.classes) == (squared_error, 2, None)
    assert [len(part[0]) for part in (task.train, task.validation, task.test)] == [200, 50, 50]
    np.testing.assert_allclose(task.train[1].std(0), 1, rtol=1e-5)
    np.testing.assert_allclose(task.train[1].mean(0), 0, atol=1e-5)
    noisy = jinit.tasks.teacher_student(**options, noise=0.5)
    added = noisy.train[1] - task.train[1]
    # 400 draws: five standard deviations are 18 %.
    assert added.std() == pytest.approx(0.5, rel=0.18)


def test_a_teacher_of_classes():
    task = jinit.tasks.teacher_student_classes(outputs=4)
    counts = np.bincount(task.train[1], minlength=4)
    assert (task.classes, task.objective) == (4, cross_entropy)
    assert counts.min() > 0.5 * counts.mean()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"features": 0}, "features: expected an integer of at least 1, got 0"),
        ({"depth": 0}, "depth: expected an integer of at least 1, got 0"),
        ({"outputs": 1.0}, "outputs: expected an integer of at least 1, got 1.0"),
        ({"examples": 3}, "examples: expected an integer of at least 4, got 3"),
        ({"noise": -0.1}, "noise: expected a number of at least 0, got -0.1"),
        ({"noise": np.inf}, "noise: expected a number of at least 0, got inf"),
    ],
)
def test_options_of_a_teacher_that_cannot_work(options, text):
    for build in (jinit.tasks.teacher_student, jinit.tasks.teacher_student_classes):
        with pytest.raises(ValueError, match=text):
            build(**options)
