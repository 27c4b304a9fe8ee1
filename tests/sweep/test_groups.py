"""Grouping by program, and errors about arguments that cannot work."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sweep.small import (
    CLASSES,
    FEATURES,
    build_linen,
    build_nnx,
    groups,
    pair,
    shallow,
    sweep,
    task,
)

import jinit


def test_initializers_and_numbers_share_a_program_and_architectures_do_not():
    axes = {"init": ["zeros", "he_normal", "orthogonal"], "lr": [1e-3, 1e-2], "l2": [0.0, 1e-4]}
    assert [len(group.members) for group in groups(**axes)] == [12]
    both = groups(**axes, activation=["relu", "tanh"], width=[3, 4])
    assert [len(group.members) for group in both] == [12] * 4


def test_equal_computations_share_a_program_under_any_name():
    def build(config):
        return shallow({"init": config["init"], "activation": config["phi"]})

    def other_tanh(x):
        return jnp.tanh(x)

    axes = {"init": ["he_normal"], "lr": [1e-3]}
    assert len(groups(build, phi=["tanh", "relu"], **axes)) == 2
    with pytest.raises(ValueError, match="axis 'phi' changes nothing: build returns the same net"):
        groups(build, phi=["tanh", other_tanh], **axes)


def test_members_with_equal_initial_parameters_have_one_fingerprint():
    (group,) = groups(init=["he_normal", "zeros"], lr=[1e-3, 1e-2])
    draws = [member.init_fingerprint for member in group.members]
    assert draws[0] == draws[1] != draws[2] == draws[3]


@pytest.mark.parametrize("build", [pair, build_linen, build_nnx])
def test_an_axis_that_build_takes(build):
    (group,) = groups(build, init=["zeros", "he_normal"], lr=[1e-3])
    assert len(group.members) == 2


def test_an_axis_that_build_ignores():
    with pytest.raises(
        ValueError,
        match=r"axis 'init' changes nothing: .* for init=zeros and init=he_normal; use it in build",
    ):
        groups(lambda _: shallow({}), init=["zeros", "he_normal"], lr=[1e-3])


def test_a_config_that_lacks_what_build_asks_for():
    with pytest.raises(
        ValueError,
        match=r"for 'lr', which is a traced number of .* \(the config has axes: 'init'\)",
    ):
        groups(lambda config: shallow({"width": config["lr"]}), init=["zeros"], lr=[1e-3])


def test_a_space_without_the_axis_that_build_asks_for():
    with pytest.raises(
        ValueError, match=r"for 'init', but the space has no axis for build: add ini"
    ):
        groups(lambda config: shallow({"init": config["init"]}), lr=[1e-3])


@pytest.mark.parametrize("axis", ["lr", "learning_rate"])
def test_a_negative_learning_rate(axis):
    with pytest.raises(
        ValueError, match=rf"axis '{axis}': .* at least 0, got -0\.1: .* write 0\.1"
    ):
        sweep(init=["zeros"], **{axis: [1e-3, -0.1]})


def test_a_learning_rate_of_zero_is_allowed():
    assert sweep(init=["zeros"], lr=[0.0, 1e-3]).total_lanes == 4


def test_numpy_integers_are_integers():
    numpy_sweep = sweep(init=["zeros"], lr=[1e-3], seeds=np.arange(3), steps=np.int64(5))
    assert numpy_sweep.seeds == (0, 1, 2)
    assert all(type(seed) is int for seed in numpy_sweep.seeds)
    assert (numpy_sweep.steps, numpy_sweep.definition.record_every) == (5, 1)
    assert sweep(init=["zeros"], lr=[1e-3], seeds=np.int32(2)).seeds == (0, 1)


def test_a_network_that_does_not_fit_the_task():
    with pytest.raises(ValueError, match=r"'clusters' has 3 classes, so .* \(90, 3\); it returns "):
        groups(lambda _: jinit.sweep.mlp(FEATURES, 5, depth=1), init=["zeros"], lr=[1e-3])
    with pytest.raises(TypeError, match="cannot make a model of int"):
        groups(lambda _: 3, init=["zeros"], lr=[1e-3])


def test_a_model_without_init():
    inputs = jax.ShapeDtypeStruct((90, FEATURES), jnp.float32)
    weights = jax.ShapeDtypeStruct((FEATURES, CLASSES), jnp.float32)
    model = jinit.trace(lambda w, x: x @ w, weights, inputs)
    with pytest.raises(ValueError, match="does not know how to draw its parameters: trace it with"):
        groups(lambda _: model, init=["zeros"], lr=[1e-3])


def test_a_loss_that_is_a_mean_already():
    def mean_loss(outputs, targets):
        return optax.softmax_cross_entropy_with_integer_labels(outputs, targets).mean()

    with pytest.raises(
        ValueError, match=r"one number per example, shape \(90,\) or .*, got shape \(\)"
    ):
        groups(on=task(loss=mean_loss), init=["zeros"], lr=[1e-3])


@pytest.mark.parametrize(
    ("value", "shown"), [("a", "'a'"), (True, "True"), (float("nan"), "nan"), (None, "None")]
)
def test_a_traced_axis_that_is_not_a_number(value, shown):
    with pytest.raises(ValueError, match=rf"axis 'gain': expected finite numbers, .* got {shown}"):
        sweep(init=["zeros"], lr=[1e-3], gain=[value])


def test_numpy_numbers_are_numbers():
    (group,) = groups(init=["he_normal"], lr=np.logspace(-3, -1, 3, dtype=np.float32))
    np.testing.assert_allclose([m.numbers["lr"] for m in group.members], [1e-3, 1e-2, 1e-1])


@pytest.mark.parametrize(
    ("axes", "optimizer", "error", "text"),
    [
        ({}, optax.adam, ValueError, r"exactly one axis lr=\[\.\.\.\], got none; or build it"),
        (
            {"lr": [1], "learning_rate": [1]},
            optax.adam,
            ValueError,
            r"got \['lr', 'learning_rate'\]",
        ),
        (
            {"lr": [1]},
            optax.adam(1e-3),
            ValueError,
            "axis 'lr', but the optimizer is built already",
        ),
        ({"lr": [1]}, "adam", TypeError, "expected an optax optimizer or a function .* got str"),
    ],
)
def test_an_optimizer_that_does_not_fit_the_space(axes, optimizer, error, text):
    with pytest.raises(error, match=text):
        sweep(init=["zeros"], optimizer=optimizer, **axes)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"steps": 0}, ValueError, "steps: expected an integer of at least 1, got 0"),
        ({"steps": 1.5}, ValueError, "steps: expected an integer of at least 1, got 1.5"),
        ({"record_every": -1}, ValueError, "record_every: expected an integer of at least 1"),
        ({"record_every": 0}, ValueError, "record_every: expected an integer of at least 1, got 0"),
        ({"lanes": 0}, ValueError, "lanes: expected an integer of at least 1, got 0"),
        ({"seeds": 0}, ValueError, "seeds: expected an integer of at least 1, got 0"),
        ({"seeds": []}, ValueError, "seeds: expected a number of seeds, or distinct integers"),
        ({"seeds": [1, 1]}, ValueError, r"seeds: expected .* got \[1, 1\]"),
        ({"seeds": [-1]}, ValueError, r"seeds: expected .* from 0 to 2\*\*32 - 1, got \[-1\]"),
        ({"seeds": "three"}, ValueError, "seeds: expected a number of seeds.* got 'three'"),
        ({"seeds": 1.5}, ValueError, "seeds: expected a number of seeds.* got 1.5"),
        ({"measure_start": "no"}, TypeError, "measure_start: expected True or False, got str"),
        ({"train_loss": [1]}, ValueError, "axis 'train_loss' is the name of a recorded column"),
        ({"jax_version": [1]}, ValueError, "axis 'jax_version' is the name of a recorded column"),
        ({"activation_std": [1]}, ValueError, "'activation_std' is the name of a recorded column"),
    ],
)
def test_options_that_cannot_work(options, error, text):
    with pytest.raises(error, match=text):
        sweep(init=["zeros"], lr=[1e-3], **options)


def test_arguments_of_the_wrong_kind():
    space = jinit.grid(init=["zeros"], lr=[1e-3])
    with pytest.raises(
        TypeError, match=r"task: expected jinit\.tasks\.digits\(\) or a jinit\.Task"
    ):
        jinit.Sweep("digits", shallow, space)
    with pytest.raises(TypeError, match="build: expected a function of a config that returns a n"):
        jinit.Sweep(task(), shallow({}), space)
    with pytest.raises(TypeError, match=r"space: expected jinit\.grid\(.*\), got dict"):
        jinit.Sweep(task(), shallow, {"init": ["zeros"]})
