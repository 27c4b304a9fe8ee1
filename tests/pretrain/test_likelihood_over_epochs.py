"""Log-likelihoods by annealed importance sampling during the training of a machine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.pretrain import Rbm, RbmTrainer, log_likelihood, rbm_training, train_rbm
from jinit.pretrain.rbm_likelihood import LogPartition, estimate_mean_log_likelihood

AIS = {"ais_chains": 100, "ais_temperatures": 100}


def examples(kind, count=150) -> np.ndarray:
    """Examples with two clusters, so that a machine has something to learn."""
    rng = np.random.default_rng(0)
    centers = rng.random((2, 9)).round()[rng.integers(0, 2, count)]
    if kind == "gaussian":
        return (2 * centers - 1 + rng.normal(size=(count, 9))).astype(np.float32)
    return np.abs(centers - (rng.random((count, 9)) < 0.1)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bernoulli", pytest.param("gaussian", marks=pytest.mark.slow)])
def test_estimates_agree_with_enumeration_at_each_epoch_counted_back_from_the_last(
    kind, monkeypatch
):
    """The largest of 5 normal numbers exceeds 4 with probability 3e-4; the seed is fixed."""
    plain = rbm_training._measure

    def measure(state, batch, key):
        return plain(state, batch, key) | {"exact": log_likelihood(state.network, batch).mean()}

    monkeypatch.setattr(rbm_training, "_measure", measure)
    trainer = RbmTrainer(visible=kind, epochs=9, learning_rate=0.1, std=0.3, ais_every=2, **AIS)
    fit = jax.jit(lambda data, key: trainer.train(data, 6, key).history)
    history = fit(jnp.asarray(examples(kind)), jax.random.key(0))
    is_measured = np.arange(9) % 2 == 0
    errors, differences = (
        np.asarray(each)
        for each in (
            history["log-likelihood standard error"],
            np.abs(history["log-likelihood"] - history["exact"]),
        )
    )
    np.testing.assert_array_equal(np.isfinite(errors), is_measured)
    np.testing.assert_array_equal(np.isfinite(history["log-likelihood"]), is_measured)
    assert (differences < 4 * errors)[is_measured].all()
    assert ((errors > 1e-4) & (errors < 0.2))[is_measured].all()
    assert np.ptp(history["exact"]) > np.nanmax(errors)


@pytest.mark.slow
def test_estimates_leave_the_training_alone():
    data, options = examples("bernoulli"), {"epochs": 5, "batch_size": 50}
    plain, history = train_rbm(data, 4, jax.random.key(0), **options)
    measured, more = train_rbm(data, 4, jax.random.key(0), ais_every=2, **AIS, **options)
    np.testing.assert_allclose(measured.weights, plain.weights, rtol=1e-6)
    assert set(more) - set(history) == {"log-likelihood", "log-likelihood standard error"}
    for name, values in history.items():
        np.testing.assert_allclose(more[name], values, rtol=1e-5)


@pytest.mark.slow
def test_estimates_are_equal_when_vmapped_over_keys():
    data, keys = examples("bernoulli"), jax.random.split(jax.random.key(0), 2)

    def train(key):
        return train_rbm(data, 4, key, epochs=3, ais_every=2, **AIS)[1]["log-likelihood"]

    np.testing.assert_allclose(jax.vmap(train)(keys), [train(key) for key in keys], rtol=1e-4)


@pytest.mark.slow
def test_the_error_counts_the_choice_of_examples():
    rbm = Rbm(jnp.zeros((9, 2)), jnp.linspace(-1, 1, 9), jnp.zeros(2))
    data, log_z = (
        jnp.asarray(examples("bernoulli", 60)),
        LogPartition(jnp.array(0.0), jnp.array(0.0)),
    )

    rng, energies = np.random.default_rng(0), np.asarray(rbm.free_energy(data))
    means = [rng.permutation(energies)[:20].mean() for _ in range(5000)]
    chosen = [data[rng.permutation(60)[:20]] for _ in range(50)]
    errors = [estimate_mean_log_likelihood(rbm, each, log_z, 60)[1] for each in chosen]
    assert np.std(means) == pytest.approx(float(np.mean(errors)), rel=0.08)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ais_every": 0}, "rbm: ais_every=0, expected an integer of at least 1"),
        ({"ais_chains": 1}, "rbm: ais_chains=1, expected an integer of at least 2"),
        ({"ais_temperatures": 1}, "rbm: ais_temperatures=1, expected an integer of at least 2"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RbmTrainer(**options)
