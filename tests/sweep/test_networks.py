"""The built-in MLP and the names of activations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals

import jinit
from jinit.sweep.layers import activation_function
from jinit.sweep.networks import mlp


def test_an_mlp_has_its_layers_and_activation():
    init, apply = mlp(4, 3, depth=12, width=5, activation="tanh", init=jinit.normal(0.5))
    params = init(jax.random.key(0))
    x = normals(1, (6, 2, 2))
    signal = np.asarray(x).reshape(6, 4)
    for layer in range(12):
        assert (params[f"layer_{layer:02d}"]["bias"] == 0).all()
        signal = np.tanh(signal @ np.asarray(params[f"layer_{layer:02d}"]["kernel"]))
    expected = signal @ np.asarray(params["layer_12"]["kernel"])
    np.testing.assert_allclose(apply(params, x), expected, rtol=1e-4, atol=1e-6)
    assert len(params) == 13
    moved = jax.tree.map(lambda leaf: leaf + 1, params)
    assert not np.allclose(apply(moved, x), apply(params, x))


def test_layers_are_drawn_from_different_keys():
    init, _ = mlp(5, 5, depth=3, width=5)
    kernels = [layer["kernel"] for layer in init(jax.random.key(0)).values()]
    assert len({kernel.tobytes() for kernel in map(np.asarray, kernels)}) == 4
    np.testing.assert_array_equal(init(jax.random.key(0))["layer_02"]["kernel"], kernels[2])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"depth": 0}, "depth: expected an integer of at least 1, got 0"),
        ({"depth": 2.0}, "depth: expected an integer of at least 1, got 2.0"),
        ({"width": -3}, "width: expected an integer of at least 1, got -3"),
        ({"activation": "rleu"}, "unknown activation 'rleu'; did you mean 'relu'"),
        ({"activation": "zzzz"}, "unknown activation 'zzzz'; expected one of: .*relu.*sigmoid"),
        ({"activation": "sum"}, "unknown activation 'sum'"),
        ({"activation": "swiglu"}, "unknown activation 'swiglu'"),
        ({"init": "he_norml"}, "he_normal"),
    ],
)
def test_options_that_cannot_work(options, text):
    with pytest.raises(ValueError, match=text):
        mlp(4, 3, **options)


def test_activations_by_name_or_as_functions():
    assert activation_function("relu") is jax.nn.relu
    assert activation_function("sin") is jnp.sin
    assert activation_function(jnp.tanh) is jnp.tanh
