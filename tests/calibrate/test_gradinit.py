import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals

from jinit.calibrate import gradinit
from jinit.model import trace


def deep(w, x):
    for kernel in w["kernels"][:-1]:
        x = jnp.tanh(x @ kernel)
    return x @ w["kernels"][-1] + w["bias"][None]


@functools.cache
def problem(gain, layers=3, width=6, examples=24):
    keys = jax.random.split(jax.random.key(1), layers + 1)
    kernels = [gain * normals(key, (width, width)) / width**0.5 for key in keys[1:]]
    x = normals(keys[0], (examples, width))
    w = {"kernels": kernels, "bias": jnp.zeros(width)}
    return trace(deep, w, x[:8]), w, (x, jnp.argmax(x, 1))


def cross_entropy(w, x, labels):
    logarithms = jax.nn.log_softmax(deep(w, x))
    return -jnp.take_along_axis(logarithms, labels[:, None], 1).mean()


def in_batches(data, size=8):
    x, labels = data
    return [(x[i : i + size], labels[i : i + size]) for i in range(0, len(x), size)]


def norm_of(optimizer, gradient):
    flat = jnp.concatenate([each.reshape(-1) for each in jax.tree.leaves(gradient)])
    return jnp.abs(flat).sum() if optimizer == "adam" else jnp.sqrt((flat**2).sum())


def plain_loop(optimizer, eta, gamma, rate, steps, w, batches):
    """GradInit with derivatives by the factors of everything, and Adam in NumPy."""

    def scaled(factors):
        kernels = [a * p for a, p in zip(factors, w["kernels"], strict=True)]
        return {"kernels": kernels, "bias": w["bias"]}

    def norm(factors, batch):
        return norm_of(optimizer, jax.grad(cross_entropy)(scaled(factors), *batch))

    def loss_after(factors, batch, other):
        gradient = jax.grad(cross_entropy)(scaled(factors), *batch)
        size = norm_of(optimizer, gradient)
        unit = jax.tree.map(jnp.sign if optimizer == "adam" else lambda g: g / size, gradient)
        step = jax.lax.stop_gradient(unit)
        after = jax.tree.map(lambda p, d: p - eta * d, scaled(factors), step)
        return cross_entropy(after, *other) / eta

    value_and_slope = jax.jit(jax.value_and_grad(norm))
    slope_of_loss = jax.jit(jax.grad(loss_after))
    factors = np.ones(len(w["kernels"]))
    moments, square, counts, norms = (
        [np.zeros_like(factors)] * 2,
        np.zeros_like(factors),
        [0, 0],
        [],
    )
    for number in range(steps):
        first, second = batches[number % len(batches)], batches[(number + 1) % len(batches)]
        other = [jnp.concatenate([a[:4], b[4:]]) for a, b in zip(first, second, strict=True)]
        current = [jnp.float32(a) for a in factors]
        size, slope = value_and_slope(current, first)
        kind = int(size > gamma)
        slope = slope if kind else slope_of_loss(current, first, other)
        slope = np.clip(np.array(slope), -1, 1)
        counts[kind] += 1
        moments[kind] = 0.9 * moments[kind] + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        corrected = square / (1 - 0.999 ** sum(counts))
        change = moments[kind] / (1 - 0.9 ** counts[kind]) / (np.sqrt(corrected) + 1e-8)
        factors = np.maximum(factors - rate * change, 0.01)
        norms.append(float(size))
    return factors, norms, counts


@pytest.mark.parametrize(
    ("optimizer", "eta", "gamma"),
    [("sgd", 0.1, 1.1), pytest.param("adam", 0.01, 8.5, marks=pytest.mark.slow)],
)
def test_the_factors_are_those_of_a_plain_loop(optimizer, eta, gamma):
    model, w, data = problem(1.5)
    batches = in_batches(data)
    options = {"optimizer": optimizer, "eta": eta, "gamma": gamma, "learning_rate": 0.03}
    found, report = gradinit(model, w, batches, steps=12, **options)
    factors, norms, counts = plain_loop(optimizer, eta, gamma, 0.03, 12, w, batches)
    assert min(counts) > 1
    assert report.layers == ("bias", "kernels/0", "kernels/1", "kernels/2")
    np.testing.assert_allclose(report.statistics["factor"][1:], factors, rtol=1e-3)
    np.testing.assert_allclose(report.history["gradient norm"], norms, rtol=1e-3)
    assert np.isnan(report.history["loss after a step"]).sum() == counts[1]
    for factor, each, other in zip(factors, found["kernels"], w["kernels"], strict=True):
        np.testing.assert_allclose(each, factor * other, rtol=1e-3)
    assert report.passes == 12 * 6 / 3
    assert dict(report.skipped) == {"bias": "it is zero, so that no factor changes it"}


@pytest.mark.slow
def test_a_badly_scaled_deep_network_gains_in_its_first_step_and_then_changes_little():
    model, w, data = problem(4.0, layers=6)
    options = {"learning_rate": 0.03, "steps": 100}
    found, report = gradinit(model, w, data, **options)

    def loss_after(w):
        gradient = jax.grad(cross_entropy)(w, *data)
        size = norm_of("sgd", gradient)
        return cross_entropy(jax.tree.map(lambda p, g: p - 0.1 * g / size, w, gradient), *data)

    assert norm_of("sgd", jax.grad(cross_entropy)(w, *data)) > 2.5
    assert norm_of("sgd", jax.grad(cross_entropy)(found, *data)) < 1.3
    assert loss_after(found) < 0.7 * loss_after(w)
    # Two thirds of the only batch are drawn in each step, and the last factor is the smallest one.
    assert report.passes == 100 * 6 * 2 / 3
    assert report.statistics["factor"][-1] == np.float32(0.01)
    _, second = gradinit(model, found, data, **options)
    distances = [np.abs(np.log(each.statistics["factor"][1:])).max() for each in (report, second)]
    assert distances[1] < 0.7 * distances[0]


def test_options_and_data_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="optimizer='lion', expected 'sgd' or 'adam'"):
        gradinit(optimizer="lion")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="gradinit: eta=0, expected a number above 0"):
        gradinit(eta=0)
    with pytest.raises(ValueError, match="min_scale=2, expected a number of at most 1"):
        gradinit(min_scale=2)
    model, w, (x, labels) = problem(1.5)
    with pytest.raises(ValueError, match="one batch of 2 examples, expected at least 3"):
        gradinit(model, w, (x[:2], labels[:2]))
    with pytest.raises(ValueError, match="do not say which loss is meant"):
        gradinit(model, w, x)
