"""Spaces: every combination, once, and errors that name the remedy."""

import jax
import jax.numpy as jnp
import pytest

import jinit
from jinit.sweep.space import label


def test_a_grid_is_every_combination_the_last_axis_fastest():
    space = jinit.grid(init=["he_normal", "zeros"], lr=(1e-3, 1e-2), depth=range(1, 4))
    configs = space.configs()
    assert space.names == ("init", "lr", "depth")
    assert len(configs) == 12
    assert [config["depth"] for config in configs[:4]] == [1, 2, 3, 1]
    assert configs[0] == {"init": jinit.he_normal(), "lr": 1e-3, "depth": 1}
    assert configs[-1]["init"] == jinit.zeros


def test_starts_are_names_specs_or_functions():
    def mine(key, shape, dtype=None):
        del key
        return jnp.ones(shape, dtype)

    spec = {"name": "normal", "stddev": 0.5}
    space = jinit.grid(init=["he_normal", spec, jinit.orthogonal(), mine])
    starts = [config["init"] for config in space.configs()]
    assert starts == [jinit.he_normal(), jinit.normal(0.5), jinit.orthogonal(), mine]
    assert [label(start) for start in starts] == ["he_normal", "normal(0.5)", "orthogonal", "mine"]


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
            {"init": [jax.nn.initializers.he_normal(), jax.nn.initializers.normal()]},
            "axis 'init' has the same value twice: init; .* functions need names of their own",
        ),
        ({"width": [8, "auto"]}, r"axis 'width' mixes numbers and words, .*: \[8, 'auto'\]; write"),
        ({"bias": [True, 3]}, "axis 'bias' mixes numbers and truth values"),
        ({"seed": [0, 1]}, r"grid: seeds are replicates .* give Sweep\(\.\.\., seeds=8\) instead"),
        ({"seeds": [8]}, "grid: seeds are replicates of every configuration, not an axis"),
        ({"init": ["he_norml"]}, "he_norml.*he_normal"),
        ({"init": [{"name": "normal", "stddev": -1.0}]}, "stddev: expected a number >= 0, got -1"),
    ],
)
def test_what_cannot_be_a_grid(axes, text):
    with pytest.raises(ValueError, match=text):
        jinit.grid(**axes)


def test_spaces_are_values():
    assert jinit.grid(lr=[1e-3]) == jinit.grid(lr=(1e-3,))
    assert jinit.grid(lr=[1e-3]) != jinit.grid(lr=[1e-2])
    assert hash(jinit.grid(lr=[1e-3])) == hash(jinit.grid(lr=[1e-3]))
