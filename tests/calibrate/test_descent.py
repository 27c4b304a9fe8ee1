"""Promises of the methods that follow gradients, and of the prior of the classes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from flax import linen as nn
from flax import nnx

import jinit
from jinit.calibrate import class_prior, gradinit, metainit, read_batches
from jinit.calibrate.find_lr import LearningRateSearch
from jinit.model import trace

METHODS = {
    "metainit": metainit(steps=3),
    "gradinit": gradinit(steps=3),
    "find_lr": LearningRateSearch(rates=2, steps=2, iterations=3),
    "class_prior": class_prior(),
}
X = normals(1, (12, 4))
LABELS = jnp.arange(12) % 3


def apply_loop(p, x):
    def step(h, layer):
        return jnp.tanh(h @ layer["kernel"] + layer["bias"][None]), None

    return jax.lax.scan(step, x, p["loop"])[0] @ p["head"]


def draw_loop(key):
    keys = jax.random.split(key, 2)
    loop = {"kernel": normals(keys[0], (3, 4, 4)), "bias": jnp.zeros((3, 4))}
    return {"loop": loop, "head": normals(keys[1], (4, 3))}


def apply_plain(p, x):
    return jnp.tanh(x @ p["hidden"]) @ p["head"] + p["bias"][None]


def draw_plain(key, dtype=jnp.float32):
    keys = jax.random.split(key, 2)
    params = {
        "hidden": jax.random.normal(keys[0], (4, 4), dtype),
        "head": jax.random.normal(keys[1], (4, 3), dtype),
    }
    return params | {"bias": jnp.zeros(3, dtype)}


@functools.cache
def plain_network(dtype=jnp.float32):
    return trace(apply_plain, draw_plain(jax.random.key(0), dtype), X.astype(dtype))


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.BatchNorm(use_running_average=False)(nn.Dense(6)(x)))
        return nn.Dense(3)(x)


class Perceptron(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(4, 6, rngs=rngs)
        self.norm = nnx.BatchNorm(6, rngs=rngs)
        self.head = nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.norm(self.hidden(x))))


def all_close(tree, other):
    for each, second in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(each, second, rtol=2e-4, atol=1e-5)


def fast(*names):
    """All methods; those that are not named are slow."""
    return [
        name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in METHODS
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", fast("gradinit"))
def test_many_keys_at_once_give_what_each_gives_alone(name):
    method = METHODS[name]
    model, batches = read_batches(name, plain_network(), (X, LABELS))
    keys = jax.random.split(jax.random.key(2), 2)

    def find(key):
        return method.find(model, draw_plain(key), batches, key)

    found, findings = jax.jit(jax.vmap(find))(keys)
    alone = [method(model, draw_plain(key), (X, LABELS), key) for key in keys]
    all_close(found, jax.tree.map(lambda *leaves: np.stack(leaves), *(each for each, _ in alone)))
    for place, (_, report) in enumerate(alone):
        for numbers in (report.history, report.statistics):
            together = findings.history | findings.layers
            all_close({each: together[each][place] for each in numbers}, dict(numbers))


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("metainit", marks=pytest.mark.slow), "gradinit"])
def test_each_iteration_of_a_loop_is_a_layer(name):
    params = draw_loop(jax.random.key(0))
    model = trace(apply_loop, params, X)
    found, report = METHODS[name](model, params, (X, LABELS))
    kernels = [each for each in report.layers if "loop/kernel" in each]
    assert kernels == [f"loop/kernel[{number}]" for number in range(3)]
    ratios = np.asarray(found["loop"]["kernel"] / params["loop"]["kernel"]).reshape(3, -1)
    np.testing.assert_allclose(ratios, np.repeat(ratios[:, :1], 16, 1), rtol=1e-4)
    assert len({round(float(ratio), 5) for ratio in ratios[:, 0]}) > 1


@pytest.mark.parametrize("name", ["metainit", "gradinit", "class_prior"])
@pytest.mark.slow
def test_statistics_of_batch_normalization_are_kept(name):
    model = jinit.linen.trace(Normalized(), X)
    params = Normalized().init(jax.random.key(0), X)
    found, report = METHODS[name](model, params, (X, LABELS))
    assert jax.tree.structure(found) == jax.tree.structure(params)
    all_close(found["batch_stats"], params["batch_stats"])
    assert not any("batch_stats" in layer for layer in report.layers)
    assert not np.array_equal(
        *(
            tree["params"]["Dense_1"]["kernel" if name != "class_prior" else "bias"]
            for tree in (found, params)
        )
    )


@pytest.mark.slow
def test_networks_of_nnx_are_read():
    model = jinit.nnx.trace(lambda rngs: Perceptron(rngs), X)
    params = model.unwrap(Perceptron(nnx.Rngs(0)))
    found, _ = METHODS["gradinit"](model, params, (X, LABELS))
    changed = [
        path
        for path, leaf in model.by_path(found).items()
        if not np.array_equal(leaf, model.by_path(params)[path])
    ]
    assert {"hidden/kernel", "head/kernel"} <= set(changed)
    assert not set(changed) & model.untrained_paths


@pytest.mark.slow
@pytest.mark.parametrize("name", fast("metainit"))
def test_parameters_in_bfloat16_stay_so(name):
    model = plain_network(jnp.bfloat16)
    params = draw_plain(jax.random.key(0), jnp.bfloat16)
    found, report = METHODS[name](model, params, (X.astype(jnp.bfloat16), LABELS))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    for numbers in (*report.history.values(), *report.statistics.values()):
        assert numbers.dtype == np.float32
