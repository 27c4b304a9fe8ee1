"""Machines that are small enough to enumerate: free energy, likelihood, gradients and estimates."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neural_network import BernoulliRBM

from jinit.pretrain import (
    Rbm,
    contrastive_divergence,
    estimate_log_partition,
    estimate_pseudo_log_likelihood,
    log_likelihood,
    log_partition,
    pseudo_log_likelihood,
)


def machine(visible=6, hidden=4, *, std=1.0, seed=0, kind="bernoulli") -> Rbm:
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = (visible, hidden), (visible,), (hidden,)
    draws = [std * jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]
    return Rbm(*draws, kind)


def states(count) -> np.ndarray:
    return np.array(list(product((0.0, 1.0), repeat=count)), np.float32)


def energy(rbm, v, h):
    w, b, c = map(np.float64, (rbm.weights, rbm.visible_bias, rbm.hidden_bias))
    own = ((v - b) ** 2).sum() / 2 if rbm.is_gaussian else -b @ v
    return own - c @ h - v @ w @ h


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_free_energy_sums_over_all_hidden_states(kind):
    rbm = machine(kind=kind)
    data = states(6)[::7] if kind == "bernoulli" else np.random.default_rng(0).normal(size=(9, 6))
    total = [-np.log(sum(np.exp(-energy(rbm, v, h)) for h in states(4))) for v in data]
    np.testing.assert_allclose(rbm.free_energy(jnp.asarray(data, jnp.float32)), total, rtol=1e-5)


@pytest.mark.few(1)
@pytest.mark.parametrize(("visible", "hidden"), [(6, 4), (4, 6), (3, 14), (14, 3)])
def test_log_partition_sums_over_all_states(visible, hidden):
    rbm = machine(visible, hidden)
    total = jax.nn.logsumexp(-rbm.free_energy(jnp.asarray(states(visible))))
    np.testing.assert_allclose(log_partition(rbm), total, rtol=1e-5)


def test_log_partition_is_enumerated_in_several_parts():
    rbm = machine(14, 14, std=0.5)
    total = jax.nn.logsumexp(-rbm.free_energy(jnp.asarray(states(14))))
    np.testing.assert_allclose(log_partition(rbm), total, rtol=1e-5)


def test_log_partition_of_gaussian_units_is_an_integral():
    rbm = machine(1, 3, kind="gaussian")
    grid = np.linspace(-20, 20, 4001, dtype=np.float32)
    density = np.exp(-np.float64(rbm.free_energy(jnp.asarray(grid)[:, None])))
    expected = np.log(density.sum() * 0.01)
    np.testing.assert_allclose(log_partition(rbm), expected, rtol=1e-4)


def test_probabilities_sum_to_one_and_pseudo_likelihood_is_their_ratio():
    rbm, all_states = machine(4, 3), jnp.asarray(states(4))
    logs = np.asarray(log_likelihood(rbm, all_states), np.float64)
    assert np.exp(logs).sum() == pytest.approx(1, abs=1e-5)
    found = pseudo_log_likelihood(rbm, all_states)
    index = {tuple(state): place for place, state in enumerate(states(4))}
    for state, value in zip(states(4), found, strict=True):
        flips = [np.where(np.arange(4) == unit, 1 - state, state) for unit in range(4)]
        own = logs[index[tuple(state)]]
        expected = [own - np.logaddexp(own, logs[index[tuple(flip)]]) for flip in flips]
        assert float(value) == pytest.approx(sum(expected), abs=1e-4)


@pytest.mark.slow
def test_stochastic_pseudo_likelihood_has_the_exact_mean():
    rbm, data = machine(4, 3), jnp.asarray(states(4))
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = jax.vmap(lambda key: estimate_pseudo_log_likelihood(rbm, data, key).mean())(keys)
    error = draws.std() / np.sqrt(len(draws))
    exact = pseudo_log_likelihood(rbm, data).mean()
    assert abs(draws.mean() - exact) < 5 * error  # 6e-7


def test_scores_are_those_of_scikit_learn():
    rbm, data = machine(6, 4), states(6)[::5]
    other = BernoulliRBM(4)
    other.components_ = np.asarray(rbm.weights.T)
    other.intercept_visible_ = np.asarray(rbm.visible_bias)
    other.intercept_hidden_ = np.asarray(rbm.hidden_bias)
    np.testing.assert_allclose(
        rbm.hidden_means(jnp.asarray(data)), other.transform(data), rtol=1e-5
    )
    np.testing.assert_allclose(
        rbm.free_energy(jnp.asarray(data)), other._free_energy(data), rtol=1e-5, atol=1e-5
    )


def exact_gradient(rbm, data) -> Rbm:
    return jax.grad(lambda each: log_likelihood(each, data).mean())(rbm)


def test_the_gradient_is_that_of_the_positive_and_negative_phase():
    rbm, data = machine(5, 3), jnp.asarray(states(5))[jnp.array([1, 6, 6, 30])]
    all_states = jnp.asarray(states(5))
    weights = jnp.exp(log_likelihood(rbm, all_states))[:, None]
    positive = data.T @ rbm.hidden_means(data) / len(data)
    negative = (weights * all_states).T @ rbm.hidden_means(all_states)
    exact = exact_gradient(rbm, data)
    np.testing.assert_allclose(positive - negative, exact.weights, atol=1e-5)
    np.testing.assert_allclose(
        data.mean(0) - (weights * all_states).sum(0), exact.visible_bias, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bernoulli", pytest.param("gaussian", marks=pytest.mark.slow)])
def test_contrastive_divergence_converges_to_the_gradient(kind):
    rbm = machine(4, 3, kind=kind, std=0.7)
    data = jnp.asarray(states(4))[jnp.array([1, 6, 6, 15])]
    exact = exact_gradient(rbm, data).weights
    keys = jax.random.split(jax.random.key(1), 8000)

    def deviations(steps):
        draws = jax.jit(
            jax.vmap(
                lambda key: contrastive_divergence(rbm, data, key, steps=steps).gradient.weights
            )
        )(keys)
        return (draws.mean(0) - exact) / (draws.std(0) / np.sqrt(len(keys)))

    assert float(jnp.abs(deviations(60)).max()) < 5  # 12 normal numbers: 7e-6
    assert float(jnp.abs(deviations(1)).max()) > 10


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("visible", "hidden", "std", "kind"),
    [
        pytest.param(8, 6, 1.0, "bernoulli", marks=pytest.mark.slow),
        pytest.param(12, 5, 0.3, "bernoulli", marks=pytest.mark.slow),
        (5, 6, 0.6, "gaussian"),
        (6, 10, 1.5, "bernoulli"),
    ],
)
def test_annealed_importance_sampling_agrees_with_enumeration(visible, hidden, std, kind):
    rbm = machine(visible, hidden, std=std, seed=3, kind=kind)
    estimate = estimate_log_partition(rbm, jax.random.key(0), chains=400, temperatures=400)
    assert 0 < float(estimate.standard_error) < 0.1
    difference = abs(float(estimate.value - log_partition(rbm)))
    assert difference < 3 * float(estimate.standard_error)


@pytest.mark.slow
def test_base_rates_are_another_start_of_the_chains():
    rbm = machine(8, 5, seed=1)
    base = jnp.linspace(-1, 1, 8)
    estimate = estimate_log_partition(
        rbm, jax.random.key(2), base_bias=base, chains=400, temperatures=400
    )
    difference = abs(float(estimate.value - log_partition(rbm)))
    assert difference < 3 * float(estimate.standard_error)


def test_a_machine_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match=r"hidden layer has 21 units.*estimate_log_partition"):
        log_partition(machine(25, 21))
    with pytest.raises(ValueError, match=r"Gaussian.*log_likelihood"):
        pseudo_log_likelihood(machine(kind="gaussian"), jnp.zeros((2, 6)))
    with pytest.raises(ValueError, match="unknown visible 'binary'"):
        machine(kind="binary")
