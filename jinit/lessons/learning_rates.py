"""Curvature, learning rates and weight decay, beside the scale of the weights."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jinit.diagnostics import curvature
from jinit.initializers import variance_scaling
from jinit.model import PyTree, trace
from jinit.report.learn.numbers import DescentRun, RateNumbers
from jinit.sweep import mlp

_CURVATURE = 10.0
_FRACTIONS = (0.2, 1.0, 1.9, 2.1)
"""Learning rates of the quadratic, in units of 1/λ."""
_STEPS = 30
_SIGMAS = (0.5, 1.0, math.sqrt(2), 2.0)
_DEPTH, _WIDTH, _EXAMPLES, _CLASSES = 4, 32, 256, 10
_DECAYS = (1e-5, 1e-4, 1e-3, 1e-2)
_DECAY_LR, _DECAY_STEPS = 0.1, 1000


def rate_numbers() -> RateNumbers:
    """Return gradient descent on a quadratic, λ_max of a network by scale, and weight decay."""
    return RateNumbers(
        curvature=_CURVATURE,
        descents=tuple(_descend(fraction / _CURVATURE) for fraction in _FRACTIONS),
        sigmas=_SIGMAS,
        largest_eigenvalues=_largest_eigenvalues(),
        decay_lr=_DECAY_LR,
        decay_steps=_DECAY_STEPS,
        decay_depth=_DEPTH + 1,
        decay_rows=tuple(map(_decay, _DECAYS)),
    )


def _descend(lr: float) -> DescentRun:
    """Return the distances from the minimum: each step multiplies them by |1 - ηλ|."""
    positions = (1 - lr * _CURVATURE) ** np.arange(_STEPS + 1)
    return DescentRun(lr, np.abs(positions))


def _largest_eigenvalues() -> np.ndarray:
    """Return λ_max of the cross-entropy of a relu network on standard normal inputs, by σ_w."""
    kernel_init = variance_scaling(1.0, "fan_in", "normal")
    init, apply = mlp(_WIDTH, _CLASSES, depth=_DEPTH, width=_WIDTH, init=kernel_init)
    inputs = jax.random.normal(jax.random.key(1), (_EXAMPLES, _WIDTH))
    labels = jnp.arange(_EXAMPLES) % _CLASSES
    params = init(jax.random.key(0))
    model = trace(apply, params, inputs)
    found = [curvature(model, _scale(params, sigma), inputs, labels).largest for sigma in _SIGMAS]
    return np.array(found)


def _scale(params: PyTree, factor: float) -> PyTree:
    """Return the parameters with kernels multiplied by a factor; biases are zero."""
    return jax.tree.map(lambda leaf: factor * leaf, params)


def _decay(decay: float) -> tuple[float, float, float]:
    """Return the decay, and the factors of a weight and of the outputs that it alone causes."""
    factor = (1 - _DECAY_LR * decay) ** _DECAY_STEPS
    return decay, factor, factor ** (_DEPTH + 1)
