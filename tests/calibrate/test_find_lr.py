import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals

from jinit.calibrate import find_lr
from jinit.calibrate.find_lr import largest_eigenvalue
from jinit.diagnostics import curvature
from jinit.model import trace


def apply(w, x):
    return jnp.tanh(x @ w[0]) @ w[1]


def problem(width=4, examples=16):
    keys = jax.random.split(jax.random.key(1), 3)
    w = [normals(key, (width, width)) for key in keys[1:]]
    x = normals(keys[0], (examples, width))
    return trace(apply, w, x), w, (x, jnp.argmax(x, 1))


def cross_entropy(w, x, labels):
    logarithms = jax.nn.log_softmax(apply(w, x))
    return -jnp.take_along_axis(logarithms, labels[:, None], 1).mean()


def quadratic(rate=1.0):
    """The loss of least squares with the curvatures 2, 0.5 and 0.02 along the axes."""
    x = jnp.sqrt(jnp.diag(jnp.array([3.0, 0.75, 0.03])))
    return trace(lambda w, x: x @ w, jnp.ones((3, 1)), x), rate * jnp.ones((3, 1)), x


def test_the_largest_eigenvalue_is_that_of_the_full_hessian_and_of_the_diagnostics():
    model, w, data = problem()
    flat, unravel = jax.flatten_util.ravel_pytree(w)
    hessian = jax.jit(jax.hessian(lambda flat: cross_entropy(unravel(flat), *data)))(flat)
    expected = np.linalg.eigvalsh(np.asarray(hessian))[-1]
    same, report = find_lr(model, w, data, rates=2, steps=1, iterations=32)
    assert same is w
    np.testing.assert_allclose(report.sharpness, expected, rtol=1e-4)
    np.testing.assert_allclose(report.ceiling, 2 / expected, rtol=1e-4)
    diagnosed = curvature(model, w, *data).learning_rate_ceiling
    np.testing.assert_allclose(report.ceiling, diagnosed, rtol=1e-4)
    np.testing.assert_allclose(report.initial_loss, cross_entropy(w, *data), rtol=1e-6)


def test_negative_curvature_of_larger_size_and_early_ends_do_not_disturb():
    curvatures = jnp.array([-9.0, 2.0, 2.0, 2.0, 1.0, 0.0])
    value = jax.jit(
        lambda key: largest_eigenvalue(
            lambda w: 0.5 * (curvatures * w[0] ** 2).sum(), [jnp.ones(6)], key, 6
        )
    )(jax.random.key(3))
    np.testing.assert_allclose(value, 2, rtol=1e-5)


def test_gradient_descent_is_stable_below_the_ceiling_and_diverges_above():
    model, w, x = quadratic()
    data = (x, jnp.zeros((3, 1)))
    ceiling = 2 / 2.0
    _, report = find_lr(model, w, data, low=0.8, high=1.25, rates=9, steps=200)
    np.testing.assert_allclose(report.ceiling, ceiling, rtol=1e-5)
    assert report.suggested < ceiling
    # The fifth of nine rates is the ceiling itself.
    np.testing.assert_allclose(report.rates[4], ceiling, rtol=1e-6)
    np.testing.assert_allclose(report.largest_stable, report.rates[4 - 1], rtol=0.13)
    assert not (report.history["loss"][5:] <= report.initial_loss).any()


@pytest.mark.slow
def test_the_curves_are_those_of_a_plain_loop():
    model, w, (x, labels) = problem()
    batches = [(x[:8], labels[:8]), (x[8:], labels[8:])]
    _, report = find_lr(
        model, w, batches, optimizer=optax.adamw, low=0.01, high=0.1, rates=2, steps=3
    )
    optimizer = optax.adamw(0.1)
    state, losses = optimizer.init(w), []
    for number in range(3):
        value, slopes = jax.value_and_grad(cross_entropy)(w, *batches[number % 2])
        updates, state = optimizer.update(slopes, state, w)
        w = [p + u for p, u in zip(w, updates, strict=True)]
        losses.append(value)
    np.testing.assert_allclose(report.losses[1], losses, rtol=1e-5)
    np.testing.assert_allclose(report.history["loss"][1], cross_entropy(w, x, labels), rtol=1e-5)
    assert report.passes == 2 * (3 * 3 / 2 + 1) + 1 + 20 * 6
    assert str(report).splitlines()[1].startswith("suggested 0.1, largest stable 0.1, ceiling")
    assert "suggested 0.1, largest stable 0.1, ceiling" in report._repr_html_()
    assert {"suggested", "ceiling", "losses", "history"} < set(report.to_dict())


def test_no_rate_is_suggested_if_all_diverge():
    model, w, x = quadratic()
    _, report = find_lr(model, w, (x, 0 * w), low=1e8, high=1e9, rates=2, steps=40)
    assert np.isnan(report.suggested)
    assert np.isnan(report.largest_stable)


def test_options_that_cannot_work_are_refused():
    model, w, data = problem()
    with pytest.raises(ValueError, match=r"find_lr: high=0.1, expected a number above 0.5"):
        find_lr(model, w, data, low=0.5, high=0.1)
    with pytest.raises(ValueError, match="optimizer='lion', expected 'sgd', 'adam' or a function"):
        find_lr(model, w, data, optimizer="lion")
    with pytest.raises(ValueError, match="rates=1, expected an integer of at least 2"):
        find_lr(model, w, data, rates=1)
    with pytest.raises(TypeError, match="find_lr: expected a Model, got list"):
        find_lr(w, w, data)  # pyright: ignore[reportArgumentType]
