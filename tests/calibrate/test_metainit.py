import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals

from jinit.calibrate import metainit
from jinit.calibrate.metainit import quotient_of_gradients
from jinit.diagnostics import gradient_quotient
from jinit.model import trace

A = jnp.array([0.5, 2.0, -1.0])
PAPER = {"learning_rate": 0.1, "epsilon": 1e-5}


def quadratic(w, x):
    return 0.5 * (A * w[:, 0] ** 2).sum() + 0 * x


def deep(w, x):
    for kernel in w[:-1]:
        x = jnp.tanh(x @ kernel)
    return x @ w[-1]


@functools.cache
def deep_problem(gain, layers=6, width=12):
    keys = jax.random.split(jax.random.key(1), layers + 1)
    w = [gain * normals(key, (width, width)) / width**0.5 for key in keys[1:]]
    x = normals(keys[0], (32, width))
    return trace(deep, w, x), w, (x, jnp.arange(32) % width)


def test_the_quotient_of_a_quadratic_form_is_known():
    model = trace(quadratic, jnp.ones((3, 1)), jnp.ones(1))
    found, report = metainit(
        model, jnp.ones((3, 1)), jnp.ones(1), loss=jnp.sum, steps=1, inputs="data", **PAPER
    )
    np.testing.assert_allclose(report.history["gradient quotient"], [1.16666166], rtol=3e-7)
    # All gradients of a quadratic form grow with the norm alike, so that it is kept but for ε.
    np.testing.assert_allclose(np.linalg.norm(found), 3**0.5 - 0.1, rtol=1e-6)


def test_the_quotient_of_a_linear_loss_is_zero():
    value = quotient_of_gradients(lambda w: (w[0] * jnp.arange(1.0, 5)).sum(), 1e-5, [jnp.ones(4)])
    assert float(value) < 2e-5


@pytest.mark.slow
def test_the_first_quotient_agrees_with_the_full_hessian_and_with_the_diagnostics():
    model, w, (x, labels) = deep_problem(1.5, layers=2, width=4)
    labels = labels % 4

    def loss(flat):
        logits = deep([flat[:16].reshape(4, 4), flat[16:].reshape(4, 4)], x)
        return -jax.nn.log_softmax(logits)[jnp.arange(32), labels].mean()

    flat = jnp.concatenate([each.reshape(-1) for each in w])
    g, h = jax.jit(lambda flat: (jax.grad(loss)(flat), jax.hessian(loss)(flat)))(flat)
    expected = jnp.abs((g - h @ g) / (g + 1e-5 * jnp.where(g >= 0, 1, -1)) - 1).mean()
    _, report = metainit(model, w, (x, labels), steps=1, inputs="data", **PAPER)
    (quotient,) = report.history["gradient quotient"]
    np.testing.assert_allclose(quotient, expected, rtol=1e-4)
    np.testing.assert_allclose(quotient, gradient_quotient(model, w, x, labels), rtol=1e-4)


@pytest.mark.slow
def test_the_norms_follow_the_signs_of_their_slopes_with_momentum():
    model, w, (x, labels) = deep_problem(1.5, layers=2, width=4)
    labels = labels % 4

    batches = [(x[:16], labels[:16]), (x[16:], labels[16:])]

    def loss(values, x, labels):
        return -jax.nn.log_softmax(deep(values, x))[jnp.arange(16), labels].mean()

    @jax.jit
    def differentiate(values, x, labels):
        objective = functools.partial(loss, x=x, labels=labels)
        return jax.grad(functools.partial(quotient_of_gradients, objective, 1e-5))(values)

    expected, changes = list(w), [jnp.zeros(())] * 2
    for number in range(3):
        slopes = differentiate(expected, *batches[number % 2])
        for place, slope in enumerate(slopes):
            norm = jnp.linalg.norm(expected[place])
            sign = jnp.sign((slope * expected[place]).sum() / norm)
            changes[place] = 0.9 * changes[place] - 0.1 * sign
            expected[place] = expected[place] * (norm + changes[place]) / norm
    found, report = metainit(model, w, batches, steps=3, inputs="data", **PAPER)
    assert report.passes == 3 * 18 / 2
    for each, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(each, other, rtol=1e-4)
    norms = [np.linalg.norm(each) for each in found]
    np.testing.assert_allclose(report.statistics["norm after"], norms, rtol=1e-5)
    assert report.layers == ("0", "1")


@pytest.mark.slow
def test_the_quotient_of_a_badly_scaled_deep_network_falls():
    model, w, data = deep_problem(5.0)
    found, report = metainit(model, w, data, jax.random.key(2), steps=200, **PAPER)
    assert gradient_quotient(model, found, *data) < 0.2 * gradient_quotient(model, w, *data)
    quotients = report.history["gradient quotient"]
    assert quotients.shape == (200,)
    assert np.median(quotients[-20:]) < 0.2 * np.median(quotients[:20])


def tanh_chain(p, x):
    """The last hidden layer of 30."""
    first = jnp.tanh(x @ p["first"])
    return jax.lax.scan(lambda h, kernel: (jnp.tanh(h @ kernel), None), first, p["hidden"])[0]


def signal_after(**options):
    """The root mean square of the last of 30 hidden layers with tanh, before and after."""
    shapes = {"first": (24, 24), "hidden": (29, 24, 24), "last": (24, 10)}
    generator = np.random.default_rng(0)
    p = {name: (2 / 24) ** 0.5 * generator.normal(size=shape) for name, shape in shapes.items()}
    p, x = jax.tree.map(jnp.float32, (p, generator.normal(size=(48, 24))))
    model = trace(lambda p, x: tanh_chain(p, x) @ p["last"], p, x)
    found, _ = metainit(model, p, (x, jnp.arange(48) % 10), jax.random.key(1), **options)
    return [float(jnp.sqrt((tanh_chain(each, x) ** 2).mean())) for each in (p, found)]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_the_signal_of_thirty_layers_does_not_vanish(steps):
    before, after = signal_after(steps=steps)
    assert before > after > 0.02


@pytest.mark.slow
def test_the_signal_of_thirty_layers_vanishes_with_the_options_of_the_paper():
    assert signal_after(steps=500, **PAPER)[1] < 1e-3


@pytest.mark.slow
def test_a_norm_never_reaches_zero_and_a_kernel_of_zeros_is_named():
    model, w, data = deep_problem(0.1, layers=3)
    w = [w[0], w[1], jnp.zeros_like(w[2])]
    found, report = metainit(model, w, data, learning_rate=1e3, steps=2)
    for each, other in zip(found[:2], w[:2], strict=True):
        ratio = np.asarray(each / other)
        assert ratio.min() > 0
        np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-4)
    assert dict(report.skipped) == {"2": "it is zero, so that it has no direction"}
    assert not np.asarray(found[2]).any()


@pytest.mark.slow
def test_normal_inputs_need_only_the_shapes_of_the_data():
    model, w, (x, labels) = deep_problem(1.0, layers=2)
    key = jax.random.key(5)
    found, _ = metainit(model, w, (x, labels), key, steps=2)
    other, _ = metainit(model, w, (0 * x, 0 * labels), key, steps=2)
    unlabeled, _ = metainit(model, w, x, key, steps=2)
    for each, second, third in zip(found, other, unlabeled, strict=True):
        np.testing.assert_array_equal(each, second)
        np.testing.assert_array_equal(each, third)


def test_options_and_data_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="metainit: momentum=1, expected a number below 1"):
        metainit(momentum=1)
    with pytest.raises(ValueError, match="inputs='noise', expected 'normal'"):
        metainit(inputs="noise")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="loss='mse', expected a function"):
        metainit(loss="mse")  # pyright: ignore[reportArgumentType]
    model, w, (x, _) = deep_problem(1.0, layers=2)
    with pytest.raises(ValueError, match=r"the targets \(none\) do not say which loss"):
        metainit(model, w, x, steps=1, inputs="data")
    with pytest.raises(ValueError, match=r"must return one number.*\(32,\); take its mean"):
        metainit(model, w, x, steps=1, loss=lambda outputs: outputs[:, 0])
    vector = trace(lambda w, x: x * w[None], jnp.ones(3), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="no trained parameter has two axes"):
        metainit(vector, jnp.ones(3), jnp.ones((2, 3)), steps=1)


def test_the_method_is_a_value():
    assert repr(metainit(steps=9)) == "metainit(steps=9)"
    assert metainit() == metainit(init="he_normal")
