"""Spaces: every combination once, and errors that say what to write."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

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


class Nameless:
    """A function of key and shape without a name."""

    def __call__(self, key, shape, dtype=None):
        return jnp.zeros(shape, dtype)


def test_initializers_of_jax_are_distinguished_by_their_options():
    given = [
        jax.nn.initializers.he_normal(),
        jax.nn.initializers.lecun_normal(),
        jax.nn.initializers.normal(0.5),
        jax.nn.initializers.normal(0.1),
    ]
    recorded = [record_value(config["init"]) for config in jinit.grid(init=given).configs()]
    assert len(set(recorded)) == 4
    assert recorded[2].startswith("normal(")
    assert "stddev=0.5" in recorded[2]
    assert "scale=2.0" in recorded[0]


def test_partial_functions_are_recorded_with_their_arguments():
    def mine(key, shape, scale):
        return scale * jax.random.normal(key, shape)

    inits = [partial(mine, scale=scale) for scale in (1, 2)]
    recorded = [record_value(config["init"]) for config in jinit.grid(init=inits).configs()]
    assert recorded == ["mine(scale=1)", "mine(scale=2)"]


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
        ({"init": [Nameless()]}, "axis 'init' has a value without a name: <.*; its address"),
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


def test_spaces_are_values():
    assert jinit.grid(lr=[1e-3]) == jinit.grid(lr=(1e-3,))
    assert jinit.grid(lr=[1e-3]) != jinit.grid(lr=[1e-2])
    assert hash(jinit.grid(lr=[1e-3])) == hash(jinit.grid(lr=[1e-3]))
