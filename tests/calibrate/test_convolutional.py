"""Methods compute convolutions in the layout that is fast, and find the same parameters by it."""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from convolutions import CANONICAL_IMAGE, convolutions

from jinit.calibrate import gradinit, metainit, patches, read_batches
from jinit.calibrate.find_lr import LearningRateSearch
from jinit.model import trace

METHODS = {
    "metainit": metainit(steps=3, inputs="data"),
    "gradinit": gradinit(steps=6, gamma=0.3, learning_rate=0.1),
    "find_lr": LearningRateSearch(rates=2, steps=2, iterations=2),
    "patches": patches(filters="normal", rounds=3),
}
X = normals(1, (12, 5, 5, 2))
LABELS = jnp.arange(12) % 3


def apply(p, x):
    for kernel in p["kernels"]:
        x = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jnp.tanh(x)
    return x.mean((1, 2)) @ p["head"]


def draw(key):
    keys = jax.random.split(key, 3)
    kernels = [
        normals(key, (3, 3, inputs, 4)) / inputs**0.5
        for key, inputs in zip(keys, (2, 4), strict=False)
    ]
    return {"kernels": kernels, "head": normals(keys[2], (4, 3))}


@functools.cache
def problem(name):
    model = trace(apply, draw(jax.random.key(0)), X)
    return read_batches(name, model, (X, LABELS))


def find(name, params, key):
    model, batches = problem(name)
    return METHODS[name].find(model, params, batches, key)


@pytest.mark.parametrize(
    "name", [pytest.param("metainit", marks=pytest.mark.slow), "gradinit", "find_lr"]
)
def test_all_convolutions_of_a_method_are_canonical(name):
    arguments = draw(jax.random.key(0)), jax.random.key(0)
    found = convolutions(functools.partial(find, name), *arguments)
    assert {params["dimension_numbers"] for params, _ in found} == {CANONICAL_IMAGE}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_results_are_those_of_plain_convolutions(name, monkeypatch):
    arguments = draw(jax.random.key(0)), jax.random.key(0)
    ours = jax.jit(functools.partial(find, name))(*arguments)
    for module in ("metainit", "gradinit", "find_lr", "patch_balance"):
        path = sys.modules[f"jinit.calibrate.{module}"]
        monkeypatch.setattr(path, "fast_convolutions", lambda function: function)

    def find_plainly(*arguments):
        return find(name, *arguments)

    layouts = {each[0]["dimension_numbers"] for each in convolutions(find_plainly, *arguments)}
    assert len(layouts) > 1
    theirs = jax.jit(find_plainly)(*arguments)
    for each, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(each, other, rtol=1e-5, atol=1e-6)
    if name == "gradinit":
        is_of_norm = np.isnan(ours[1].history["loss after a step"])
        assert 0 < is_of_norm.sum() < len(is_of_norm)


def test_convolutions_of_many_keys_are_not_grouped():
    model, batches = problem("gradinit")

    def apply_method(key):
        return METHODS["gradinit"].apply(model, draw(key), batches, key)

    found = convolutions(jax.vmap(apply_method), jax.random.split(jax.random.key(0), 2))
    assert found
    assert {params["feature_group_count"] for params, _ in found} == {1}
