"""Training of one layer: oracles, options, and equal results however it is run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals
from sklearn.datasets import load_digits

from jinit.pretrain import (
    Autoencoder,
    AutoencoderTrainer,
    RbmTrainer,
    fine_tune,
    train_autoencoder,
    train_rbm,
    train_stack,
    unroll,
)
from jinit.pretrain.autoencoder_training import _squared_jacobian

# Mean squared residual of digits / 16 after a projection on 8 principal components.
RESIDUAL_8 = 1.5304481879


def digits() -> np.ndarray:
    return (load_digits(return_X_y=True)[0] / 16).astype(np.float32)


@pytest.mark.parametrize("train", [train_rbm, train_autoencoder])
@pytest.mark.slow
def test_results_are_equal_in_a_loop_and_vmapped(train):
    data, keys = digits()[:200], jax.random.split(jax.random.key(0), 3)
    stacked = jax.vmap(lambda key: train(data, 12, key, epochs=2))(keys)
    for place, key in enumerate(keys):
        own = jax.tree.map(lambda leaf, place=place: leaf[place], stacked)
        for left, right in zip(
            jax.tree.leaves(train(data, 12, key, epochs=2)), jax.tree.leaves(own), strict=True
        ):
            np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-4)
    assert not np.allclose(stacked[0].weights[0], stacked[0].weights[1])


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"persistent": True, "reconstructions": "samples"}, marks=pytest.mark.slow),
        pytest.param({"steps": 3, "weight_decay": 1e-3}, marks=pytest.mark.slow),
    ],
)
def test_a_machine_learns_its_data(options):
    _, history = train_rbm(digits(), 30, jax.random.key(0), epochs=5, **options)
    error, likelihood = history["reconstruction error"], history["pseudo-log-likelihood"]
    assert error[-1] < 0.045 < np.var(digits(), axis=0).mean()
    assert likelihood[-1] > likelihood[0]


@pytest.mark.slow
def test_gaussian_units_learn_standardized_data():
    data = digits()
    data = (data - data.mean(0)) / np.maximum(data.std(0), 0.05)
    rbm, history = train_rbm(data, 30, jax.random.key(0), visible="gaussian", epochs=5)
    assert rbm.is_gaussian
    assert history["reconstruction error"][-1] < 0.8 * data.var()
    assert np.isnan(history["pseudo-log-likelihood"]).all()


@pytest.mark.slow
def test_sparsity_moves_the_mean_of_the_hidden_units():
    means = []
    for options in ({}, {"sparsity": 0.05, "sparsity_cost": 1.0}):
        rbm, _ = train_rbm(digits(), 20, jax.random.key(0), epochs=4, **options)
        means.append(rbm.hidden_means(digits()).mean())
    assert abs(means[1] - 0.05) < 0.03 < abs(means[0] - 0.05)


@pytest.mark.slow
def test_a_linear_autoencoder_is_principal_component_analysis():
    data = digits() - digits().mean(0)
    net, history = train_autoencoder(
        data,
        8,
        jax.random.key(0),
        loss="squared_error",
        corruption="none",
        activation="linear",
        epochs=40,
        batch_size=100,
        learning_rate=3e-3,
    )
    residual = ((net.decode(net.encode(data)) - data) ** 2).sum(1).mean()
    assert RESIDUAL_8 * 0.9999 < residual < RESIDUAL_8 * 1.01
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"corruption": "salt_and_pepper"},
        {"corruption": "gaussian"},
        {"tied": False, "learning_rate": 5e-3},
        {"contraction": 0.1},
        {"optimizer": optax.sgd(0.01)},
        {"activation": jnp.tanh},
    ],
)
def test_an_autoencoder_learns_its_data(options):
    net, history = train_autoencoder(digits(), 20, jax.random.key(0), epochs=3, **options)
    assert history["reconstruction error"][-1] < 0.06 < np.var(digits(), axis=0).mean()
    assert (net.decoder is None) == options.get("tied", True)


def test_the_contractive_penalty_is_the_norm_of_the_jacobian():
    net = Autoencoder(normals(0, (5, 3)), jnp.ones(3), jnp.zeros(5))
    x = normals(1, (4, 5))
    expected = [(jax.jacobian(net.encode)(row) ** 2).sum() for row in x]
    np.testing.assert_allclose(_squared_jacobian(net, x), jnp.stack(expected), rtol=1e-5)


def test_corruption_changes_the_stated_fraction():
    batch, noise = jnp.ones((100, 100)), jax.random.uniform(jax.random.key(0), (100, 100))
    masked = AutoencoderTrainer(level=0.3)._corrupt(batch, noise, 0.0, 1.0)
    assert abs(float((masked == 0).mean()) - 0.3) < 0.025  # 5.4 standard errors
    peppered = AutoencoderTrainer(corruption="salt_and_pepper", level=0.3)
    extremes = peppered._corrupt(batch / 2, noise, 0.0, 1.0)
    for extreme in (0, 1):
        assert abs(float((extremes == extreme).mean()) - 0.15) < 0.02


@pytest.mark.slow
def test_an_unrolled_stack_reconstructs_and_improves():
    data = digits()[:1000]
    layers, _ = train_stack(data, (40, 8), jax.random.key(0), trainer=RbmTrainer(epochs=5))
    net = unroll(layers)
    code = layers[1].hidden_means(layers[0].hidden_means(data))
    np.testing.assert_allclose(net.encode(data), code, rtol=1e-5)
    np.testing.assert_allclose(
        net.decode(net.encode(data)),
        layers[0].visible_means(layers[1].visible_means(net.encode(data))),
        rtol=1e-5,
    )
    tuned, history = fine_tune(net, data, jax.random.key(1), epochs=5)
    before = ((net.decode(net.encode(data)) - data) ** 2).mean()
    assert history["reconstruction error"][-1] < 0.95 * before
    assert not np.allclose(tuned.decoder[-1].weights, tuned.encoder[0].weights.T)


@pytest.mark.slow
def test_a_stack_of_autoencoders_unrolls():
    data = digits()[:200]
    trainer = AutoencoderTrainer(epochs=1, tied=False, activation="tanh", loss="squared_error")
    layers, _ = train_stack(data, (16, 4), jax.random.key(0), trainer=trainer)
    net = unroll(layers)
    assert net.loss == "squared_error"
    np.testing.assert_array_equal(net.decoder[0].weights, layers[1].decoder)


WRONG = [
    (lambda: RbmTrainer(momentum=1.0), r"rbm: momentum=1.0, expected a number in \[0, 1\)"),
    (lambda: RbmTrainer(steps=0), "rbm: steps=0, expected an integer of at least 1"),
    (lambda: RbmTrainer(learning_rate=-1), "rbm: learning_rate=-1"),
    (lambda: RbmTrainer(visible="gausian"), "unknown visible 'gausian'; did you mean 'gaussian'"),
    (lambda: RbmTrainer(sparsity=1.5), "rbm: sparsity=1.5"),
    (lambda: AutoencoderTrainer(corruption="mask"), "did you mean 'masking'"),
    (lambda: AutoencoderTrainer(level=1.0), "autoencoder: level=1.0"),
    (lambda: AutoencoderTrainer(activation="sigmod"), "did you mean 'sigmoid'"),
    (lambda: train_rbm(np.zeros(3), 2, jax.random.key(0)), r"shape \(3,\), expected \[examples"),
    (
        lambda: train_rbm(2 * np.ones((3, 2)), 2, jax.random.key(0)),
        "from 2 to 2, expected values",
    ),
    (lambda: train_rbm(np.full((3, 2), np.nan), 2, jax.random.key(0)), "NaN or infinity"),
    (lambda: train_rbm(np.zeros((3, 2)), 0, jax.random.key(0)), "hidden=0"),
    (lambda: unroll([]), "got no layers"),
    (
        lambda: unroll([train_rbm(np.zeros((3, 2)), 4, jax.random.key(0), epochs=1)[0]] * 2),
        "layer 0 has 4 hidden units, and layer 1 takes 2 inputs",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_wrong_options_and_data_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="unknown option 'epoch'; did you mean 'epochs'"):
        train_rbm(np.zeros((3, 2)), 2, jax.random.key(0), epoch=3)
