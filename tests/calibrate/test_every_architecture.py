"""Every method runs unmodified on real architectures, or names what it cannot change."""

from contextlib import nullcontext

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from rules.architecture_cases import CASES

import jinit
from jinit import calibrate

KEY = jax.random.key(0)
METHODS = {
    "lsuv": calibrate.lsuv(),
    "autoinit": calibrate.autoinit(),
    "actnorm": calibrate.actnorm(),
    "weight_norm": calibrate.weight_norm(),
    "patches": calibrate.patches(rounds=2),
    "metainit": calibrate.metainit(steps=2),
    "gradinit": calibrate.gradinit(steps=3),
    "class_prior": calibrate.class_prior(),
}
WITHOUT_BIAS = ("gpt2", "moe")
"""Architectures whose output layer has no bias that a prior could be written to."""
FAST = {("lsuv", "linen", "resnet"), ("autoinit", "linen", "gpt2"), ("actnorm", "nnx", "mixer")}
EVERY = [
    pytest.param(
        *each, id="-".join(each), marks=() if each in FAST else pytest.mark.slow
    )
    for method in METHODS
    for framework in ("linen", "nnx")
    for name in CASES
    for each in [(method, framework, name)]
]  # fmt: skip


def batch_of(case):
    shape = (8, *case.shape[1:])
    if len(shape) == 2:
        return jax.random.randint(KEY, shape, 0, 50)
    return normals(KEY, shape)


def targets_of(outputs):
    """Random classes for the last axis of the outputs."""
    return jax.random.randint(KEY, outputs.shape[:-1], 0, outputs.shape[-1])


def check(method, model, inputs):
    """Apply a method: the tree keeps its form, values are finite, and what was left is named."""
    params = model.unwrap(jinit.init(model, KEY))
    outputs = jax.eval_shape(model.apply, params, inputs)
    found, report = method(model, params, (inputs, targets_of(outputs)), jax.random.key(1))
    assert jax.tree.map(lambda a: (a.shape, a.dtype), found) == jax.tree.map(
        lambda a: (a.shape, a.dtype), params
    )
    before, after = model.by_path(params), model.by_path(found)
    for path, value in after.items():
        if jnp.issubdtype(value.dtype, jnp.inexact):
            assert np.isfinite(np.float32(value)).all(), path
        if path in model.untrained_paths:
            np.testing.assert_array_equal(value, before[path])
    changed = [path for path in after if not np.array_equal(after[path], before[path])]
    assert changed or report.skipped, str(report)
    return report


@pytest.mark.few(1)
@pytest.mark.parametrize(("method", "framework", "name"), EVERY)
def test_a_flax_architecture(method, framework, name):
    case = CASES[name]
    if method == "class_prior" and name in WITHOUT_BIAS:
        expected = pytest.raises(
            ValueError, match=r"output layer .*head/kernel has no trained bias"
        )
    else:
        expected = nullcontext()
    inputs = batch_of(case)
    if framework == "linen":
        model = jinit.linen.trace(case.linen(case.small), inputs)
    else:
        model = jinit.nnx.trace(lambda rngs: case.nnx(case.small, rngs=rngs), inputs)
    with expected:
        check(METHODS[method], model, inputs)


@pytest.mark.parametrize(
    "method", [pytest.param(n, marks=() if n == "lsuv" else pytest.mark.slow) for n in METHODS]
)
def test_an_equinox_model(method):
    def build(key):
        return eqx.nn.MLP(9, 3, 16, 2, key=key)

    inputs = normals(KEY, (32, 9))
    model = jinit.trace(
        lambda net, x: jax.vmap(net)(x), eqx.filter_eval_shape(build, KEY), inputs, init=build
    )
    check(METHODS[method], model, inputs)


@pytest.mark.parametrize(
    "method", [pytest.param(n, marks=() if n == "lsuv" else pytest.mark.slow) for n in METHODS]
)
def test_a_haiku_model(method):
    net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([16, 16, 3])(x)))
    inputs = normals(KEY, (32, 9))
    params = jax.eval_shape(net.init, KEY, inputs)
    model = jinit.trace(net.apply, params, inputs, init=lambda key: net.init(key, inputs))
    check(METHODS[method], model, inputs)
