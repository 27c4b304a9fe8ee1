"""JAX loops: one jitted training step, called from Python, one trial after the other.

Once as guides write it, each batch an argument; once with all that a careful user can do.
"""

import time
from functools import partial

import flax.linen as nn
import jax
import numpy as np
import optax

from trials import BATCH, WIDTHS, digits, learning_rate


class MLP(nn.Module):
    """Dense layers with relu between them."""

    @nn.compact
    def __call__(self, x):
        """Logits of a batch."""
        for width in WIDTHS[1:-1]:
            x = nn.relu(nn.Dense(width, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(WIDTHS[-1], kernel_init=nn.initializers.he_normal())(x)


model = MLP()
on_host, _ = digits.load()
train, validation = jax.device_put(digits.load())


@jax.jit
def init(key, rate):
    """Parameters and optimizer state of one trial."""
    params = model.init(key, train[0][:1])
    return params, optax.adam(rate).init(params)


def step(params, state, rate, x, y):
    """One step of Adam; the rate is an argument, so all trials share the program."""

    def loss(params):
        logits = model.apply(params, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    value, gradient = jax.value_and_grad(loss)(params)
    updates, state = optax.adam(rate).update(gradient, state)
    return optax.apply_updates(params, updates), state, value


usual_step = jax.jit(step)


@partial(jax.jit, donate_argnums=(0, 1))
def tuned_step(params, state, rate, x, y, batch):
    """One step that takes its batch from the data inside the program and reuses its buffers."""
    return step(params, state, rate, x[batch], y[batch])


@jax.jit
def accuracy(params, x, y):
    """Share of images that get their own label."""
    return (model.apply(params, x).argmax(-1) == y).mean()


def trial(number: int, steps: int, tuned: bool) -> float:
    """Train once; the validation accuracy."""
    rate = learning_rate(number)
    params, state = init(jax.random.key(number), rate)
    generator = np.random.default_rng(number)
    for batch in digits.batches(generator, len(train[0]), BATCH, steps):
        if tuned:
            params, state, _ = tuned_step(params, state, rate, *train, batch)
        else:
            x, y = (array[batch] for array in on_host)
            params, state, _ = usual_step(params, state, rate, x, y)
    return float(accuracy(params, *validation))


def start() -> dict:
    """Compile everything with one short trial of each kind."""
    begin = time.perf_counter()
    for tuned in (False, True):
        trial(0, 2, tuned)
    return {"compile_seconds": time.perf_counter() - begin}


def run(trials: int, steps: int, tuned: bool = False) -> dict:
    """Train the given number of trials one after the other."""
    begin = time.perf_counter()
    reached = [trial(number, steps, tuned) for number in range(trials)]
    return {"seconds": time.perf_counter() - begin, "accuracy": float(np.mean(reached))}
