"""Activations and gradients of a deep network at initialization, for many scales at once."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.report.learn.numbers import SignalScan
from jinit.theory import ACTIVATIONS, ActivationFunction, moments

SIGMAS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, math.sqrt(2), 1.6, 1.8, 2.0, 2.5, 3.0)
LAYERS, _WIDTH, _EXAMPLES = 20, 128, 128
_TANH_EDGES = np.linspace(-1.0, 1.0, 42)
_LOG_EDGES = np.linspace(-12.0, 8.0, 81)


def scan_scales(activation: str) -> SignalScan:
    """Measure a network of 20 layers of tanh or relu for 15 scales σ_w, beside theory.

    Inputs and the gradient of the loss by the last activations are standard normal.

    Args:
      activation: `tanh`, whose activations are counted in bins; or `relu`, whose logarithms are.
    """
    phi, is_log = ACTIVATIONS[activation], activation != "tanh"
    sigmas = jnp.array(SIGMAS)
    scan = jax.jit(jax.vmap(lambda sigma: _run_network(phi, sigma)))
    activations, gradients = (np.asarray(each, np.float64) for each in scan(sigmas))
    edges = _LOG_EDGES if is_log else _TANH_EDGES
    theory = [_predict(phi, sigma**2) for sigma in SIGMAS]
    return SignalScan(
        activation=activation,
        width=_WIDTH,
        sigmas=SIGMAS,
        edges=edges,
        is_log=is_log,
        shares=_count(activations, edges, is_log),
        zero_share=(activations == 0).mean((2, 3)),
        activation_rms=np.sqrt((activations**2).mean((2, 3))),
        gradient_std=gradients.std((2, 3)),
        theory_rms=np.sqrt([squares for squares, _ in theory]),
        theory_gradient_std=np.sqrt([squares for _, squares in theory]),
    )


def _run_network(phi: ActivationFunction, sigma: Array) -> tuple[Array, Array]:
    """Return activations and gradients by pre-activations, `[layer, example, unit]`."""
    keys = jax.random.split(jax.random.key(0), 3)
    weights = jax.random.normal(keys[0], (LAYERS, _WIDTH, _WIDTH)) * sigma / math.sqrt(_WIDTH)
    inputs, slopes = (jax.random.normal(key, (_EXAMPLES, _WIDTH)) for key in keys[1:])

    def run(shifts: Array) -> tuple[Array, Array]:
        def layer(signal: Array, parts: tuple[Array, Array]) -> tuple[Array, Array]:
            signal = phi(signal @ parts[0] + parts[1])
            return signal, signal

        outputs, activations = jax.lax.scan(layer, inputs, (weights, shifts))
        return jnp.sum(outputs * slopes), activations

    gradients, activations = jax.grad(run, has_aux=True)(jnp.zeros((LAYERS, _EXAMPLES, _WIDTH)))
    return activations, gradients


def _count(activations: np.ndarray, edges: np.ndarray, is_log: bool) -> np.ndarray:
    """Return the share of the activations in each bin; zeros have no logarithm and are left out."""
    shares = np.zeros((*activations.shape[:2], len(edges) - 1))
    for place in np.ndindex(activations.shape[:2]):
        values = activations[place].ravel()
        shown = np.log10(values[values > 0]) if is_log else values
        shares[place] = np.histogram(shown, edges)[0] / len(values)
    return shares


def _predict(phi: ActivationFunction, sigma_w2: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean squares of activations and of gradients by layer, for infinite width."""
    q, seconds, slopes = sigma_w2, [], []
    for _ in range(LAYERS):
        found = moments(phi, q)
        seconds.append(found.second)
        slopes.append(found.slope2)
        q = sigma_w2 * found.second
    backward = np.cumprod([slopes[-1], *(sigma_w2 * slope for slope in slopes[-2::-1])])
    return np.array(seconds), backward[::-1]
