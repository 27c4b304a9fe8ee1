"""Training from equal weights: a small network that learns XOR, or does not."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jinit.initializers import constant, lecun_normal, zeros
from jinit.report.learn.numbers import SymmetryNumbers, SymmetryRun

_HIDDEN, _INPUTS = 8, 4
_STEPS, _RECORD_EVERY, _LR = 400, 10, 0.5

_Params = dict[str, Array]


def train_from_symmetry() -> SymmetryNumbers:
    """Train a network of 8 hidden tanh units from zeros, from equal weights and from LeCun's.

    The data are the 16 sign patterns of 4 inputs, and the label is whether the first two differ.
    Biases are zero at first.
    """
    kernels = {
        "zeros": zeros,
        "constant(0.5)": constant(0.5),
        "lecun_normal()": lecun_normal(),
    }
    runs = tuple(_train(name, kernel_init) for name, kernel_init in kernels.items())
    return SymmetryNumbers(inputs=_INPUTS, hidden=_HIDDEN, lr=_LR, runs=runs)


def _train(name: str, kernel_init: Callable[..., Array]) -> SymmetryRun:
    first, last = jax.random.split(jax.random.key(0))
    params = {
        "hidden": kernel_init(first, (_INPUTS, _HIDDEN)),
        "output": kernel_init(last, (_HIDDEN, 1)),
        "hidden_bias": jnp.zeros((1, _HIDDEN)),
        "output_bias": jnp.zeros((1,)),
    }
    gradients = np.asarray(jax.grad(_loss)(params)["hidden"])
    params, losses = _descend(params)
    weights = np.asarray(params["hidden"])
    return SymmetryRun(
        name=name,
        steps=np.arange(0, _STEPS + 1, _RECORD_EVERY),
        losses=np.asarray(losses)[::_RECORD_EVERY],
        gradient_size=float(np.abs(gradients).max()),
        gradient_spread=float(np.ptp(gradients, axis=1).max()),
        rank=int(np.linalg.matrix_rank(weights, rtol=1e-5)),
        distinct_units=len(np.unique(np.round(weights, 5), axis=1).T),
    )


def _loss(params: _Params) -> Array:
    patterns = jnp.array(np.indices((2,) * _INPUTS).reshape(_INPUTS, -1).T * 2.0 - 1.0)
    labels = (patterns[:, 0] * patterns[:, 1] < 0).astype(patterns.dtype)
    hidden = jnp.tanh(patterns @ params["hidden"] + params["hidden_bias"])
    logits = (hidden @ params["output"])[:, 0] + params["output_bias"]
    return optax.sigmoid_binary_cross_entropy(logits, labels).mean()


@jax.jit
def _descend(params: _Params) -> tuple[_Params, Array]:
    """Return the trained parameters, and the loss before every step and after the last one."""

    def step(params: _Params, _: None) -> tuple[_Params, Array]:
        loss, gradients = jax.value_and_grad(_loss)(params)
        return jax.tree.map(lambda value, slope: value - _LR * slope, params, gradients), loss

    return jax.lax.scan(step, params, length=_STEPS + 1)
