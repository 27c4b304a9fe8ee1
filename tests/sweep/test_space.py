"""Spaces: grids, zipped axes, products and unions, and errors that say what to write."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sweep.small import linear, sweep

import jinit
from jinit.sweep.space import record_value


def test_a_grid_is_every_combination():
    space = jinit.grid(init=["he_normal", "zeros"], lr=(1e-3, 1e-2), depth=range(1, 4))
    configs = space.configs()
    assert space.names == ("init", "lr", "depth")
    assert len(configs) == 12
    assert [config["depth"] for config in configs[:4]] == [1, 2, 3, 1]
    assert configs[0] == {"init": jinit.he_normal(), "lr": 1e-3, "depth": 1}
    assert configs[-1]["init"] == jinit.zeros


def test_initializers_are_names_specs_or_functions():
    def mine(key, shape, dtype=None):
        del key
        return jnp.ones(shape, dtype)

    spec = {"name": "normal", "stddev": 0.5}
    space = jinit.grid(init=["he_normal", spec, jinit.orthogonal(), mine])
    inits = [config["init"] for config in space.configs()]
    assert inits == [jinit.he_normal(), jinit.normal(0.5), jinit.orthogonal(), mine]
    assert [record_value(init) for init in inits] == [
        "he_normal",
        "normal(0.5)",
        "orthogonal",
        "mine",
    ]


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        ({}, r"grid: no axes; give at least one, such as init=\['he_normal', 'zeros'\]"),
        ({"lr": []}, "grid: axis 'lr' is empty; give it at least one value"),
        ({"lr": iter(())}, "grid: axis 'lr' is empty"),
        ({"lr": 0.1}, r"grid: axis 'lr' needs a list of values, got 0.1: use \[\.\.\.\]"),
        ({"init": "he_normal"}, "grid: axis 'init' needs a list of values, got 'he_normal'"),
        ({"init": {"name": "zeros"}}, "grid: axis 'init' needs a list of values"),
        ({"lr": [0.1, 0.2, 0.1]}, "grid: axis 'lr' has the same value twice: 0.1"),
        ({"init": ["zeros", jinit.zeros]}, "grid: axis 'init' has the same value twice: zeros"),
        ({"depth": [2, 2.0]}, "grid: axis 'depth' has the same value twice: 2"),
        (
            {"init": [lambda key, shape: key, lambda key, shape: shape]},
            "axis 'init' has the same value twice: <lambda>; .* functions need different names",
        ),
        ({"lr": [0.1, np.float32(0.1)]}, "axis 'lr' has the same value twice: 0.1"),
        (
            {"lr": [0.1, 0.5, 0.1 + 1e-10]},
            "axis 'lr' has 0.1 and 0.1000000001, which are one number in float32, .*: leave one",
        ),
        ({"width": [16777216, 16777217.0]}, "has 16777216 and 16777217.0, which are one number"),
        ({"lr": [0.1, float("nan")]}, "axis 'lr': expected finite numbers, .* got nan"),
        ({"depth": [float("inf")]}, "axis 'depth': expected finite numbers, .* got inf"),
        ({"lr": [1e39]}, r"at most 3.403e\+38 in size, the largest of float32, got 1e\+39"),
        ({"lr": [-(10**400)]}, "axis 'lr': expected finite numbers"),
        ({"width": [8, "auto"]}, r"axis 'width' mixes numbers and words, .*: \[8, 'auto'\]; write"),
        ({"bias": [True, 3]}, "axis 'bias' mixes numbers and truth values"),
        ({"seed": [0, 1]}, r"grid: seeds are replicates .* give Sweep\(\.\.\., seeds=8\) instead"),
        ({"seeds": [8]}, "grid: seeds are replicates of every configuration, not an axis"),
        ({"init": ["he_norml"]}, "he_norml.*he_normal"),
        ({"init": [{"name": "normal", "stddev": -1.0}]}, "stddev: expected a number >= 0, got -1"),
    ],
)
def test_axes_that_cannot_work(axes, text):
    with pytest.raises(ValueError, match=text):
        jinit.grid(**axes)


def test_a_grid_takes_large_and_close_integers_and_mixed_numbers():
    space = jinit.grid(examples=[16777216, 16777217], lr=[1, 0.5, 3e38])
    assert space.is_grid
    assert [values for _, values in space.axes] == [(16777216, 16777217), (1, 0.5, 3e38)]


def test_zipped_axes_advance_together():
    space = jinit.zipped(lr=[0.1, 0.1, 0.2], warmup=(0, 10, 0), init=["zeros", "zeros", "ones"])
    assert [(config["lr"], config["warmup"]) for config in space.configs()] == [
        (0.1, 0), (0.1, 10), (0.2, 0),
    ]  # fmt: skip
    assert dict(space.axes) == {
        "lr": (0.1, 0.2), "warmup": (0, 10), "init": (jinit.zeros, jinit.ones),
    }  # fmt: skip
    assert not space.is_grid


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        ({}, "zipped: no axes; give at least two"),
        ({"lr": [1, 2], "b1": [0]}, r"equally many values, but lr has 2, b1 has 1; .* jinit.grid"),
        ({"lr": [1, 1], "b1": [0, 0]}, "the space has the configuration lr=1, b1=0 twice"),
        ({"lr": []}, "zipped: axis 'lr' is empty"),
        ({"lr": 0.1}, "zipped: axis 'lr' needs a list of values"),
        ({"seed": [1]}, "zipped: seeds are replicates"),
        ({"width": [1, "auto"]}, "axis 'width' mixes numbers and words"),
        ({"lr": [0.1, 0.1 + 1e-12]}, "one number in float32"),
    ],
)
def test_zipped_axes_that_cannot_work(axes, text):
    with pytest.raises(ValueError, match=text):
        jinit.zipped(**axes)


def test_a_product_has_every_pair():
    pairs = jinit.zipped(lr=[0.1, 0.2], warmup=[0, 10])
    space = jinit.grid(init=["zeros", "he_normal"]) * pairs
    assert space.names == ("init", "lr", "warmup")
    assert [(config["init"], config["lr"]) for config in space.configs()] == [
        (jinit.zeros, 0.1), (jinit.zeros, 0.2), (jinit.he_normal(), 0.1), (jinit.he_normal(), 0.2),
    ]  # fmt: skip
    assert not space.is_grid
    product = jinit.grid(a=[1, 2]) * jinit.grid(b=[3, 4])
    assert product == jinit.grid(a=[1, 2], b=[3, 4])
    assert product.is_grid


def test_a_union_has_conditional_axes():
    space = jinit.grid(optimizer=["sgd"], momentum=[0.0, 0.9]) + jinit.grid(
        optimizer=["adam"], b1=[0.9, 0.99]
    )
    assert space.names == ("optimizer", "momentum", "b1")
    assert [set(config) for config in space.configs()] == 2 * [{"optimizer", "momentum"}] + 2 * [
        {"optimizer", "b1"}
    ]
    assert len(dict(space.axes)["optimizer"]) == 2
    assert not space.is_grid


def test_a_union_of_parts_of_a_grid_is_a_grid():
    space = jinit.grid(lr=[0.1], depth=[1, 2]) + jinit.grid(depth=[1, 2], lr=[0.2])
    assert space.is_grid
    assert space.axes == (("lr", (0.1, 0.2)), ("depth", (1, 2)))


def test_a_union_knows_equal_initializers_of_jax():
    he, zeros = jax.nn.initializers.he_normal, jax.nn.initializers.zeros
    space = jinit.grid(init=[he(), zeros], lr=[0.1]) + jinit.grid(init=[he()], lr=[0.2])
    assert len(dict(space.axes)["init"]) == 2
    with pytest.raises(ValueError, match=r"init=variance_scaling.*, lr=0.1 twice"):
        jinit.grid(init=[he()], lr=[0.1]) + jinit.grid(init=[he()], lr=[0.1])


def test_spaces_that_do_not_go_together():
    lr = jinit.grid(lr=[0.1, 0.2])
    with pytest.raises(ValueError, match="product of two spaces: axis 'lr' is in both"):
        jinit.grid(depth=[1]) * lr * lr
    with pytest.raises(ValueError, match=r"configuration lr=0\.2 twice: leave it"):
        lr + jinit.grid(lr=[0.2])
    with pytest.raises(ValueError, match=r"configuration lr=0\.1, depth=1 twice"):
        jinit.grid(depth=[1], lr=[0.1]) + jinit.grid(lr=[0.1], depth=[1])
    with pytest.raises(ValueError, match=r"axis 'lr' mixes numbers and words, .*: \[0.1, 0.2, 'a'"):
        lr + jinit.grid(lr=["a"])
    with pytest.raises(ValueError, match="one number in float32"):
        lr + jinit.grid(lr=[0.1 + 1e-12])
    for other in (3, {"depth": [1]}):
        with pytest.raises(TypeError, match="unsupported operand"):
            lr * other
        with pytest.raises(TypeError, match="unsupported operand"):
            lr + other
    for rows in ((), ((),)):
        with pytest.raises(ValueError, match="expected configurations with at least one axis"):
            jinit.Space(rows)


def test_spaces_are_values():
    assert jinit.grid(lr=[1e-3]) == jinit.grid(lr=(1e-3,)) == jinit.grid(lr=np.array([1e-3]))
    assert jinit.grid(lr=[1e-3]) != jinit.grid(lr=[1e-2])
    assert jinit.grid(lr=[1, 2]) != jinit.grid(lr=[2, 1])
    assert jinit.grid(bias=[True]) != jinit.grid(bias=[1])
    assert jinit.grid(lr=[1e-3]) != (("lr", 1e-3),)
    assert hash(jinit.grid(lr=[1e-3])) == hash(jinit.grid(lr=[1e-3]))
    lists = [jinit.grid(widths=[[64, 64], {"a": 1}]) for _ in range(2)]
    assert len({*lists, jinit.grid(lr=[1e-3])}) == 2


def test_spaces_are_pickled_and_print_briefly():
    space = jinit.grid(init=["he_normal", jax.nn.initializers.zeros], lr=[0.1]) + jinit.grid(
        optimizer=["sgd"]
    )
    copy = pickle.loads(pickle.dumps(space))
    assert copy == space
    assert hash(copy) == hash(space)
    assert copy.axes == space.axes
    assert repr(space) == "<Space: 3 configurations of init, lr, optimizer>"


def test_configurations_are_copies():
    space = jinit.grid(lr=[0.1])
    space.configs()[0]["lr"] = 3
    assert space.configs() == ({"lr": 0.1},)


def test_an_integer_beyond_the_floats_is_no_learning_rate():
    with pytest.raises(ValueError, match="expected a finite number"):
        jinit.normal(stddev=10**400)
    with pytest.raises(ValueError, match="axis 'lr': expected finite numbers"):
        sweep(linear, lr=[0.1, 10**400])
