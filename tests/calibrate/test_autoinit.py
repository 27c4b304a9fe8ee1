"""AutoInit scales kernels by the moments of theory: closed forms, and random networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from calibrate.networks import Attention, Recurrent, Residual, Scanned, inputs, layer_variances
from flax import linen as nn

import jinit
from jinit.calibrate import autoinit
from jinit.calibrate.spread import Spread, combine
from jinit.hooks import as_model
from jinit.theory import moments

KEY = jax.random.key(0)
X = inputs(256)


def chain(phi, depth=3, width=64):
    params = [normals(key, (width, width)) / 3 for key in jax.random.split(KEY, depth)]

    def apply(params, x):
        for kernel in params[:-1]:
            x = phi(x @ kernel)
        return x @ params[-1]

    return jinit.trace(apply, params, jnp.ones((8, width))), params


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "phi",
    [
        nn.relu,
        nn.silu,
        jnp.abs,
        *(pytest.param(phi, marks=pytest.mark.slow) for phi in (nn.tanh, nn.sigmoid, nn.relu6)),
    ],
)
def test_kernels_get_the_variance_that_the_moments_of_the_activation_ask_for(phi):
    """fan_in std² E[φ(z)²] = 1 for the layers after the first one, by jinit.theory."""
    model, params = chain(phi)
    examples = normals(KEY, (32, 64)) * 3 + 1
    scaled, report = autoinit(model, params, examples)
    squares = [64 * float(np.mean(np.float64(kernel) ** 2)) for kernel in scaled]
    assert squares[0] == pytest.approx(1 / float(np.mean(np.float64(examples) ** 2)), rel=1e-4)
    expected = 1 / moments(phi).second
    assert squares[1:] == pytest.approx([expected] * 2, rel=2e-3)
    np.testing.assert_allclose(report.statistics["expected variance"], 1, rtol=0.05)
    ratios = np.array([float((a / b)[0, 0]) for a, b in zip(scaled, params, strict=True)])
    np.testing.assert_allclose(report.statistics["factor"], ratios, rtol=1e-4)


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(Residual(), marks=pytest.mark.slow),
        pytest.param(Attention(), marks=pytest.mark.slow),
        pytest.param(Scanned(), marks=pytest.mark.slow),
    ],
    ids=["convolutions", "attention", "scan"],
)
def test_random_networks_have_the_variance_that_is_expected(module):
    """The mean over 20 networks of small width, within a factor of three in every layer."""
    model = as_model(module, X)
    found = []
    for key in jax.random.split(KEY, 20):
        scaled, _ = autoinit(model, model.init(key), X)
        found.append(layer_variances(model, scaled, X))
    means = np.mean(found, 0)
    assert (np.abs(np.log(means)) < np.log(3)).all(), means


def test_a_window_with_padding_counts_what_lies_inside():
    """Of 3 taps at 4 positions with a padding of 1, 10 of 12 lie inside."""

    def apply(kernel, x):
        return jax.lax.conv_general_dilated(
            x, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        )

    kernel = normals(KEY, (3, 32, 32))
    examples = normals(KEY, (64, 4, 32))
    model = jinit.trace(apply, kernel, examples)
    scaled, _ = autoinit(model, kernel, examples)
    expected = 1 / (96 * 10 / 12 * float(jnp.mean(examples**2)))
    assert float(jnp.mean(scaled**2)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_recurrent_kernels_keep_their_scale_and_are_named():
    model = as_model(Recurrent(), X)
    params = model.init(KEY)
    scaled, report = autoinit(model, params, X)
    assert any("hf/kernel" in name for name in report.skipped)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), scaled, params)["params"]
    assert jax.tree.all(same["OptimizedLSTMCell_0"])
    assert not same["Dense_0"]["kernel"]


def test_an_operation_without_a_rule_is_named():
    model = jinit.trace(
        lambda w, x: jnp.fft.rfft(x @ w).real @ w[:5], jnp.eye(8) + 0.1, jnp.ones((4, 8))
    )
    _, report = autoinit(model, jnp.eye(8) + 0.1, jnp.ones((4, 8)))
    assert "operation fft" in report.skipped


def test_distributions_of_entries():
    normal = Spread.normal(jnp.zeros(()), jnp.ones(()))
    other = Spread.normal(jnp.ones(()), jnp.full((), 4.0))
    assert float(normal.map(jnp.square).variance) == pytest.approx(2, rel=1e-3)
    product = combine(lambda pair: pair[0] * pair[1], [normal, other])
    assert float(product.variance) == pytest.approx(5, rel=1e-3)
    difference = combine(lambda pair: pair[0] - pair[1], [normal, normal])
    assert float(difference.variance) == 0
    largest = np.random.default_rng(0).normal(size=(200_000, 4)).max(1)
    found = normal.largest(4)
    assert float(found.mean) == pytest.approx(largest.mean(), abs=0.02)
    assert float(found.variance) == pytest.approx(largest.var(), rel=0.05)
    mixture = Spread.mixture([normal, other], [0.5, 0.5])
    assert float(mixture.second) == pytest.approx(3, rel=1e-3)


def test_options_are_checked():
    with pytest.raises(ValueError, match="autoinit: target=-1, expected a number above 0"):
        autoinit(target=-1)
