"""Faults of networks: their verdicts, layers, causes and cures."""

import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import gpt2, resnet
from arrays import normals
from flax import linen as nn

import jinit
from jinit import diagnose

KEY = jax.random.key(0)
X = normals(1, (16, 12))
SLOW = pytest.mark.slow
LECUN = jinit.lecun_normal()


class Deep(nn.Module):
    phi: object = nn.sigmoid
    depth: int = 10
    kernel_init: object = LECUN

    @nn.compact
    def __call__(self, x):
        for _ in range(self.depth):
            x = self.phi(nn.Dense(64, kernel_init=self.kernel_init)(x))
        return nn.Dense(10)(x)


def initialize(module, x=X, **kwargs):
    """The Model of a module, and its parameters."""
    model = jinit.linen.trace(module, x, **kwargs)
    return model, jinit.init(model, KEY)


@pytest.mark.slow
def test_a_deep_sigmoid_network_and_its_cure():
    model, params = initialize(Deep())
    diagnosis = diagnose(model, params, X, jnp.arange(16) % 10)
    assert diagnosis.verdict == "vanishing"
    assert [fault.path for fault in diagnosis.faults[:10]] == [
        f"params/Dense_{number}/kernel" for number in range(10)
    ]
    fault = diagnosis.faults[0]
    assert "sigmoid shrinks the gradient" in fault.cause
    assert fault.cure == "nn.tanh with kernel_init=jinit.lecun_normal() instead of sigmoid"
    assert "ln 10" in diagnosis.notes[0]
    assert diagnose(*initialize(Deep(nn.tanh)), X).healthy


def scaled(variance):
    return jinit.variance_scaling(variance, "fan_in", "normal")


@pytest.mark.parametrize(
    ("phi", "kernel_init", "verdict", "cure"),
    [
        (nn.relu, LECUN, "vanishing", "kernel_init=jinit.he_normal()"),
        pytest.param(nn.relu, scaled(4), "exploding", "kernel_init=jinit.he_normal()", marks=SLOW),
        pytest.param(nn.tanh, scaled(8), "chaotic", "kernel_init=jinit.lecun_normal()", marks=SLOW),
        pytest.param(
            nn.gelu, LECUN, "vanishing", "kernel_init=jinit.variance_scaling(0.00", marks=SLOW
        ),
    ],
)
def test_wrong_gains_are_found_by_their_joint_effect(phi, kernel_init, verdict, cure):
    diagnosis = diagnose(*initialize(Deep(phi, 24, kernel_init)), X)
    assert diagnosis.verdict == verdict
    assert diagnosis.faults[0].cure.startswith(cure)
    assert "gain" in diagnosis.faults[0].cause


def test_units_are_symmetric_only_if_their_gradients_are_equal_too():
    def apply(params, x):
        return jnp.tanh(x @ params["w"]) @ params["out"]

    draw = jinit.lecun_normal()
    params = {"w": draw(KEY, (12, 12)), "out": draw(jax.random.key(3), (12, 4))}
    params["w"] = params["w"].at[:, 1].set(params["w"][:, 2])
    model = jinit.trace(apply, params, X)
    diagnosis = diagnose(model, params, X)
    first = diagnosis.layers[0]
    assert diagnosis.verdict == "stable"
    assert diagnosis.notes[0].startswith("w: 1 unit has the same weights as another unit; their")
    assert (first.statistics["equal_units"], first.statistics["equal_unit_gradients"]) == (1, 0)
    params["out"] = params["out"].at[1].set(params["out"][2])
    first, last = diagnose(model, params, X).layers
    assert (first.verdict, last.verdict) == ("symmetric", "symmetric")
    assert "the same weights and the same gradient as another unit" in first.cause
    assert (first.statistics["equal_units"], first.statistics["equal_unit_gradients"]) == (1, 1)


@pytest.mark.few(1)
@pytest.mark.parametrize(("width", "verdict"), [(16, "stable"), (256, "dead")])
def test_as_many_dead_units_as_chance_explains_are_no_fault(width, verdict):
    """Seven eighths of all units are dead: √width / 2 units is one standard deviation."""
    x = jnp.ones((8, 64))
    draw = jinit.he_normal()
    first, last = draw(KEY, (64, width)), draw(jax.random.key(3), (width, 4))
    live = jnp.arange(width) < width // 8
    first *= jnp.sign(x[:1] @ first) * jnp.where(live, 1, -1)[None]
    params = {"first": first, "last": last}
    model = jinit.trace(lambda p, x: jax.nn.relu(x @ p["first"]) @ p["last"], params, x)
    diagnosis = diagnose(model, params, x)
    assert diagnosis.layers[1].statistics["correlation"] > 0.99
    assert diagnosis.verdict == verdict, str(diagnosis)
    if verdict == "dead":
        assert diagnosis.faults[0].cause == "87.5 % of its units are 0 for every example"


def residual_network(params, x):
    for first, second in zip(params["first"], params["second"], strict=True):
        x = x + jax.nn.relu(x @ first) @ second
    return x @ params["first"][0]


def test_residual_branches_that_are_not_scaled():
    def kernels(gain, seed):
        return list(gain * normals(seed, (8, 32, 32)) / 32**0.5)

    x = normals(KEY, (16, 32))
    params = {"first": kernels(2**0.5, 1), "second": kernels(1.0, 2)}
    model = jinit.trace(residual_network, params, x)
    diagnosis = diagnose(model, params, x)
    assert diagnosis.verdict == "exploding"
    assert {fault.path for fault in diagnosis.faults} == {f"second/{n}" for n in range(8)}
    assert "residual" in diagnosis.faults[0].cause
    assert "1 / 8" in diagnosis.faults[0].cure
    ratios = [layer.statistics["branch_ratio"] for layer in diagnosis.layers]
    assert math.isnan(ratios[0])
    np.testing.assert_allclose(np.mean(ratios[1::2][:8]), 1.0, rtol=0.35)
    small = params | {"second": [each / 10 for each in params["second"]]}
    assert diagnose(model, small, x).healthy


@cache
def architecture(name):
    """Model, healthy parameters, and a batch."""
    if name == "transformer":
        x = jax.random.randint(KEY, (2, 8), 0, 50)
        model = jinit.linen.trace(gpt2.LinenGPT2(gpt2.Config(50, 16, 32, 4, 2, False)), x)
    else:
        x = normals(KEY, (4, 32, 32, 3))
        model = jinit.linen.trace(resnet.LinenResNet(resnet.Config(10, 3, 16, (2, 1))), x)
    return model, jinit.recommend(model).init(KEY), x


PLANTED = {
    "constant": (lambda w, other: 0 * w + 0.02, {"misscaled"}),
    "NaN": (lambda w, other: w.at[(1,) * w.ndim].set(jnp.nan), {"overflowing"}),
    "a key used twice": (lambda w, other: other, {"symmetric"}),
    "fifty times too large": (lambda w, other: 50 * w, {"exploding", "misscaled"}),
    "positive weights": (lambda w, other: abs(w), {"misscaled"}),
}


def planted(params, path, other, change):
    """Return the parameters with one kernel changed, given another kernel of its shape."""
    tree = {"params": jax.tree.map(lambda leaf: leaf, params["params"])} | {
        name: value for name, value in params.items() if name != "params"
    }
    *names, last = path.split("/")
    node = tree["params"]
    for name in names:
        node = node[name]
    source = params["params"]
    for name in other.split("/"):
        source = source[name]
    node[last] = change(node[last], source)
    return tree


@pytest.mark.parametrize(
    ("name", "path", "other"),
    [
        pytest.param("transformer", "block_0/up/kernel", "block_1/up/kernel", marks=SLOW),
        pytest.param(
            "transformer",
            "block_1/attention/value/kernel",
            "block_0/attention/value/kernel",
            marks=SLOW,
        ),
        pytest.param("resnet", "block_0_1/conv_2/kernel", "block_0_0/conv_2/kernel", marks=SLOW),
    ],
)
def test_faults_in_architectures_are_named_with_their_layer(name, path, other):
    model, params, x = architecture(name)
    assert diagnose(model, params, x).healthy
    for fault, (change, verdicts) in PLANTED.items():
        diagnosis = diagnose(model, planted(params, path, other, change), x)
        named = {each.path: each for each in diagnosis.faults}
        either = {f"params/{path}", f"params/{other}"}  # the copy may be either of them
        assert either & set(named), (fault, path, str(diagnosis))
        assert diagnosis.verdict in verdicts, (fault, path, str(diagnosis))
        assert all(each.cause and each.cure for each in diagnosis.faults)


@pytest.mark.slow
def test_half_precision_that_overflows():
    class Half(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(3):
                x = nn.relu(nn.Dense(32, dtype=jnp.float16, kernel_init=jinit.normal(30.0))(x))
            return nn.Dense(3, dtype=jnp.float16)(x)

    diagnosis = diagnose(*initialize(Half()), X)
    assert diagnosis.verdict == "overflowing"
    assert diagnosis.faults[0].cure == "kernel_init=jinit.he_normal()"
    assert diagnosis.faults[0].path == "params/Dense_0/kernel"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phi", "gain", "verdict"),
    [
        (jax.nn.sigmoid, 1, "vanishing"),
        pytest.param(jax.nn.relu, 2**0.5, "stable", marks=SLOW),
    ],
)
def test_layers_that_follow_each_other_in_a_loop(phi, gain, verdict):
    """A scan over stacked kernels is judged like the same network written out."""
    kernels = gain * normals(KEY, (12, 32, 32)) / 32**0.5
    x = normals(4, (16, 32))

    def looped(w, x):
        return jax.lax.scan(lambda h, kernel: (phi(h @ kernel), None), x, w)[0] @ w[0]

    def unrolled(w, x):
        for kernel in w:
            x = phi(x @ kernel)
        return x @ w[0]

    inside = diagnose(jinit.trace(looped, kernels, x), kernels, x)
    outside = diagnose(jinit.trace(unrolled, kernels, x), kernels, x)
    assert inside.verdict == outside.verdict == verdict
    # The result of the last iteration leaves the loop, and a new chain begins there.
    verdicts = [[layer.verdict for layer in each.layers[:10]] for each in (inside, outside)]
    assert verdicts == [[verdict] * 10] * 2
    for one, other in zip(inside.layers[:11], outside.layers[:11], strict=True):
        np.testing.assert_allclose(
            one.predicted["second_moment"], other.predicted["second_moment"], rtol=1e-4
        )
        for name in ("rms", "gradient_rms", "correlation", "dead_fraction"):
            np.testing.assert_allclose(
                one.statistics[name], other.statistics[name], rtol=1e-4, atol=1e-5
            )
