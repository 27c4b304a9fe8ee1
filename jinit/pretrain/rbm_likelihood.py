"""Likelihoods of restricted Boltzmann machines, exact and estimated."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate.checks import check_whole
from jinit.pretrain.boltzmann_machine import Rbm, bias_energy, draw_noise, sample_binary

_MOST_UNITS = 20
"""Largest number of units whose states are enumerated: a million states."""
_CHUNK_BITS = 12
"""Number of units whose states are enumerated at a time."""


class LogPartition(NamedTuple):
    """An estimate of log Z."""

    value: Array
    standard_error: Array
    """Standard error of `value`, from the spread of the weights of the chains."""


def log_partition(rbm: Rbm) -> Array:
    """Return log Z = log Σ_v exp(-F(v)) exactly, by enumeration of the smaller layer.

    The visible units are summed over in closed form if the hidden layer is the smaller one, or if
    they are Gaussian.

    Args:
      rbm: the machine.

    Raises:
      ValueError: if the layer to enumerate has more than 20 units.

    >>> rbm = Rbm(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> bool(jnp.isclose(log_partition(rbm), 5 * jnp.log(2)))
    True
    """
    visible, hidden = rbm.weights.shape
    by_hidden = rbm.is_gaussian or hidden <= visible
    count = hidden if by_hidden else visible
    if count > _MOST_UNITS:
        kind = "hidden" if by_hidden else "visible"
        raise ValueError(
            f"log_partition: the {kind} layer has {count} units, too many to enumerate (at most "
            f"{_MOST_UNITS}); estimate log Z by estimate_log_partition(rbm, key)"
        )
    low = min(count, _CHUNK_BITS)

    def chunk(high: Array) -> Array:
        states = _binary_states(high * 2**low + jnp.arange(2**low), count, rbm.weights.dtype)
        negative = -_hidden_free_energy(rbm, states) if by_hidden else -rbm.free_energy(states)
        return jax.nn.logsumexp(negative)

    return jax.nn.logsumexp(jax.lax.map(chunk, jnp.arange(2 ** (count - low))))


def estimate_log_partition(
    rbm: Rbm,
    key: Array,
    *,
    base_bias: Array | None = None,
    chains: int = 100,
    temperatures: int = 1000,
) -> LogPartition:
    """Estimate log Z by annealed importance sampling, with its standard error.

    Independent chains pass from a machine without weights to the given one through
    p_β(v) ∝ exp(-(1 - β) E_A(v) - β E_b(v)) Π_j (1 + exp(β (c + v W)_j)), where E_A and E_b are
    the energies of the visible units with the biases of the first and of the given machine.

    Args:
      rbm: the machine.
      key: key of the chains.
      base_bias: visible bias of the machine without weights; None for that of `rbm`. The logits of
        the means of the training data give smaller errors.
      chains: number of chains.
      temperatures: number of values of β, at equal distances from 0 to 1.

    Raises:
      ValueError: if there are fewer than two chains or temperatures.

    References:
      Salakhutdinov and Murray, "On the quantitative analysis of deep belief networks", 2008,
      section 4.

    >>> rbm = Rbm(jnp.zeros((3, 2)), jnp.ones(3), jnp.zeros(2))
    >>> estimate = estimate_log_partition(rbm, jax.random.key(0), chains=4, temperatures=3)
    >>> bool(jnp.isclose(estimate.value, log_partition(rbm))), float(estimate.standard_error)
    (True, 0.0)
    """
    check_whole("estimate_log_partition", "chains", chains, 2)
    check_whole("estimate_log_partition", "temperatures", temperatures, 2)
    base = rbm.visible_bias if base_bias is None else base_bias
    run = jax.vmap(lambda each: _anneal(rbm, base, each, temperatures))
    log_weights = run(jax.random.split(key, chains))
    largest = log_weights.max()
    weights = jnp.exp(log_weights - largest)
    error = weights.std(ddof=1) / weights.mean() / math.sqrt(chains)
    value = _base_log_partition(rbm, base) + largest + jnp.log(weights.mean())
    return LogPartition(value, error)


def log_likelihood(rbm: Rbm, data: Array, log_z: Array | None = None) -> Array:
    """Return log p(v) = -F(v) - log Z of each example, of shape [examples].

    Args:
      rbm: the machine.
      data: examples, of shape [examples, visible].
      log_z: log Z, such as an estimate of it; None to compute it exactly.

    Raises:
      ValueError: if log Z is not given and the machine is too large to enumerate.

    >>> rbm = Rbm(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> bool(jnp.allclose(log_likelihood(rbm, jnp.eye(3)), -3 * jnp.log(2)))
    True
    """
    return -rbm.free_energy(data) - (log_partition(rbm) if log_z is None else log_z)


def estimate_mean_log_likelihood(
    rbm: Rbm, data: Array, log_z: LogPartition, total: int
) -> tuple[Array, Array]:
    """Estimate the mean log-likelihood of a set of examples from some of them and from log Z.

    The variance is that of log Z plus s² / n (1 - n / N), where s is the standard deviation of the
    free energies of n examples that were drawn from N without replacement.

    Args:
      rbm: the machine.
      data: the n examples, of shape [examples, visible].
      log_z: an estimate of log Z.
      total: the number N of examples of the set.

    Returns:
      The mean, in nats per example, and its standard error.

    >>> rbm = Rbm(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> log_z = LogPartition(log_partition(rbm), jnp.array(0.5))
    >>> mean, error = estimate_mean_log_likelihood(rbm, jnp.eye(3), log_z, 3)
    >>> bool(jnp.isclose(mean, -3 * jnp.log(2))), float(error)
    (True, 0.5)
    """
    energy, count = rbm.free_energy(data), len(data)
    variance = log_z.standard_error**2
    if count < total:
        variance += energy.var(ddof=1) / count * (1 - count / total)
    return -energy.mean() - log_z.value, jnp.sqrt(variance)


def pseudo_log_likelihood(rbm: Rbm, data: Array) -> Array:
    """Return Σ_i log p(v_i | the other visible units) of each example, of shape [examples].

    Args:
      rbm: a machine with binary visible units.
      data: examples, of shape [examples, visible].

    Raises:
      ValueError: if the visible units are Gaussian.

    >>> rbm = Rbm(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> bool(jnp.allclose(pseudo_log_likelihood(rbm, jnp.eye(3)), -3 * jnp.log(2)))
    True
    """
    _check_bernoulli("pseudo_log_likelihood", rbm)
    energy = rbm.free_energy(data)

    def unit(place: Array) -> Array:
        flipped = data.at[:, place].set(1 - data[:, place])
        return jax.nn.log_sigmoid(rbm.free_energy(flipped) - energy)

    return jax.lax.map(unit, jnp.arange(data.shape[1])).sum(0)


def estimate_pseudo_log_likelihood(rbm: Rbm, data: Array, key: Array) -> Array:
    """Return an unbiased estimate of `pseudo_log_likelihood` from one random unit per example.

    It is n log σ(F(v') - F(v)), where v' is v with one of its n units flipped.

    Args:
      rbm: a machine with binary visible units.
      data: examples, of shape [examples, visible].
      key: key that chooses the units.

    Raises:
      ValueError: if the visible units are Gaussian.

    >>> rbm = Rbm(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> estimate = estimate_pseudo_log_likelihood(rbm, jnp.eye(3), jax.random.key(0))
    >>> bool(jnp.allclose(estimate, pseudo_log_likelihood(rbm, jnp.eye(3))))
    True
    """
    _check_bernoulli("estimate_pseudo_log_likelihood", rbm)
    examples, count = data.shape
    rows, places = jnp.arange(examples), jax.random.randint(key, (examples,), 0, count)
    flipped = data.at[rows, places].set(1 - data[rows, places])
    return count * jax.nn.log_sigmoid(rbm.free_energy(flipped) - rbm.free_energy(data))


def _binary_states(numbers: Array, count: int, dtype: jnp.dtype) -> Array:
    """Return the binary digits of numbers, of shape [numbers, count]."""
    return (numbers[:, None] >> jnp.arange(count)[None] & 1).astype(dtype)


def _hidden_free_energy(rbm: Rbm, hidden: Array) -> Array:
    """Return -log of the sum, or the integral, of exp(-E(v, h)) over v."""
    inputs = rbm.visible_inputs(hidden)
    if rbm.is_gaussian:
        bias = rbm.visible_bias
        squares = 0.5 * ((inputs**2).sum(-1) - (bias**2).sum())
        visible = squares + 0.5 * bias.size * math.log(2 * math.pi)
    else:
        visible = jax.nn.softplus(inputs).sum(-1)
    return -(hidden @ rbm.hidden_bias) - visible


def _base_log_partition(rbm: Rbm, base: Array) -> Array:
    """Return log Z of the machine without weights and hidden biases."""
    hidden = rbm.hidden_bias.size * math.log(2)
    if rbm.is_gaussian:
        return jnp.asarray(hidden + 0.5 * base.size * math.log(2 * math.pi))
    return hidden + jax.nn.softplus(base).sum()


def _anneal(rbm: Rbm, base: Array, key: Array, temperatures: int) -> Array:
    """Return the logarithm of the weight of one chain."""
    betas = jnp.linspace(0.0, 1.0, temperatures)
    first_key, key = jax.random.split(key)
    free = Rbm(jnp.zeros_like(rbm.weights), base, jnp.zeros_like(rbm.hidden_bias), rbm.visible)
    first_noise = draw_noise(rbm.visible, first_key, *base.shape)
    start = free.sample_visible(free.visible_means(jnp.zeros_like(rbm.hidden_bias)), first_noise)

    def log_density(visible: Array, beta: Array) -> Array:
        kind = rbm.visible
        energy = (1 - beta) * bias_energy(kind, visible, base)
        energy += beta * bias_energy(kind, visible, rbm.visible_bias)
        return jax.nn.softplus(beta * rbm.hidden_inputs(visible)).sum() - energy

    def step(visible: Array, settings: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        before, beta, step_key = settings
        change = log_density(visible, beta) - log_density(visible, before)
        hidden_key, visible_key = jax.random.split(step_key)
        bias = (1 - beta) * base + beta * rbm.visible_bias
        tempered = Rbm(beta * rbm.weights, bias, beta * rbm.hidden_bias, rbm.visible)
        hidden_noise = draw_noise("bernoulli", hidden_key, *rbm.hidden_bias.shape)
        hidden = sample_binary(tempered.hidden_means(visible), hidden_noise)
        noise = draw_noise(rbm.visible, visible_key, *base.shape)
        return tempered.sample_visible(tempered.visible_means(hidden), noise), change

    keys = jax.random.split(key, temperatures - 1)
    return jax.lax.scan(step, start, (betas[:-1], betas[1:], keys))[1].sum()


def _check_bernoulli(name: str, rbm: Rbm) -> None:
    if rbm.is_gaussian:
        raise ValueError(
            f"{name}: the visible units are Gaussian, expected binary ones, whose conditional "
            "probabilities have a closed form; use log_likelihood(rbm, data, log_z)"
        )
