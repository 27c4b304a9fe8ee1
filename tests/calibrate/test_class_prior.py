import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals
from flax import linen as nn

import jinit
from jinit.calibrate import class_prior
from jinit.model import trace

LABELS = jnp.array([0, 0, 0, 0, 1, 1, 2, 0, 0, 2])
X = normals(0, (10, 4))


def apply(p, x):
    return jnp.tanh(x @ p["hidden"]) @ p["kernel"] + p["bias"][None]


def problem(classes):
    params = {
        "hidden": jnp.eye(4),
        "kernel": jnp.zeros((4, classes)),
        "bias": jnp.ones(classes),
    }
    return trace(apply, params, X), params


def test_with_zero_kernels_the_loss_is_the_entropy_of_the_labels():
    model, params = problem(3)
    batches = [(X[:5], LABELS[:5]), (X[5:], LABELS[5:])]
    found, report = class_prior(model, params, batches, smoothing=1e-5)
    frequencies = np.array([0.6, 0.2, 0.2])
    entropy = -(frequencies * np.log(frequencies)).sum()
    logits = apply(found, X)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()
    np.testing.assert_allclose(loss, entropy, rtol=1e-5)
    np.testing.assert_allclose(report.statistics["loss without kernels"], [entropy], rtol=1e-5)
    assert report.layers == ("bias",)
    assert report.passes == 2
    assert not report.skipped
    np.testing.assert_array_equal(found["hidden"], params["hidden"])
    again, _ = class_prior(model, found, batches, smoothing=1e-5)
    np.testing.assert_array_equal(again["bias"], found["bias"])


def test_smoothing_adds_examples_to_each_class():
    model, params = problem(4)
    found, _ = class_prior(model, params, (X, LABELS), smoothing=2)
    np.testing.assert_allclose(jnp.exp(found["bias"]), np.array([8, 4, 4, 2]) / 18, rtol=1e-5)


@pytest.mark.parametrize("shape", [(10,), (10, 1)])
def test_a_single_logit_gets_the_base_rate(shape):
    model, params = problem(1)
    labels = (LABELS > 0).astype(int).reshape(shape)
    found, report = class_prior(model, params, (X, labels), smoothing=1e-5)
    np.testing.assert_allclose(found["bias"], [np.log(0.4 / 0.6)], rtol=1e-4)
    logits = apply(found, X)[:, 0]
    loss = optax.sigmoid_binary_cross_entropy(logits, labels.reshape(-1)).mean()
    np.testing.assert_allclose(report.statistics["loss without kernels"], [loss], rtol=1e-5)


def test_a_regression_gets_the_mean_of_its_targets():
    model, params = problem(3)
    targets = normals(1, (10, 3)) + jnp.arange(3.0)[None]
    found, report = class_prior(model, params, (X, targets))
    np.testing.assert_allclose(found["bias"], targets.mean(0), rtol=1e-5)
    loss = ((apply(found, X) - targets) ** 2).sum(1).mean()
    np.testing.assert_allclose(report.statistics["loss without kernels"], [loss], rtol=1e-5)


def test_outputs_that_are_no_logits_are_named():
    _, params = problem(3)
    softmax = trace(lambda p, x: jax.nn.softmax(apply(p, x)), params, X)
    found, report = class_prior(softmax, params, (X, LABELS))
    np.testing.assert_array_equal(found["bias"], params["bias"])
    assert "does not change the outputs by as much" in report.skipped["bias"]
    reversed_ = trace(lambda p, x: apply(p, x)[:, ::-1], params, X)
    assert class_prior(reversed_, params, (X, LABELS))[1].skipped


def test_each_position_of_a_sequence_counts():
    x, labels = X.reshape(2, 5, 4), LABELS.reshape(2, 5)
    module = nn.Sequential([nn.Dense(6), nn.relu, nn.Dense(3)])
    model = jinit.linen.trace(module, x)
    params = module.init(jax.random.key(0), x)
    found, _ = class_prior(model, params, (x, labels), smoothing=1e-5)
    bias = found["params"]["layers_2"]["bias"]
    np.testing.assert_allclose(jnp.exp(bias), [0.6, 0.2, 0.2], rtol=1e-4)


def test_data_and_networks_that_cannot_work_are_refused():
    model, params = problem(3)
    with pytest.raises(ValueError, match="class_prior: 2 labels are not a class"):
        class_prior(model, params, (X, LABELS.at[:2].set(jnp.array([-1, 3]))))
    with pytest.raises(ValueError, match="1 label is not a class"):
        class_prior(*problem(1), (X, (LABELS > 0).astype(int).at[0].set(5)))
    with pytest.raises(ValueError, match="the data has no targets"):
        class_prior(model, params, X)
    with pytest.raises(ValueError, match=r"targets of float32\[2\] per example do not say"):
        class_prior(model, params, (X, X[:, :2]))
    with pytest.raises(ValueError, match="smoothing=0, expected a number above 0"):
        class_prior(smoothing=0)
    plain = trace(lambda w, x: x @ w, jnp.ones((4, 3)), X)
    with pytest.raises(ValueError, match=r"the output layer  ?has no trained bias"):
        class_prior(plain, jnp.ones((4, 3)), (X, LABELS))
    shared = trace(
        lambda p, x: x @ p["w"] + p["b"], {"w": jnp.ones((4, 3)), "b": jnp.ones((10, 3))}, X
    )
    with pytest.raises(ValueError, match=r"the bias b of the output layer has the shape \[10, 3\]"):
        class_prior(shared, {"w": jnp.ones((4, 3)), "b": jnp.ones((10, 3))}, (X, LABELS))
