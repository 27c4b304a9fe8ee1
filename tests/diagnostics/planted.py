"""Random networks as pure functions, and faults to plant in them."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from arrays import normals

import jinit
from jinit.gains import deep_variances

ACTIVATIONS = {
    "relu": (jax.nn.relu, (2.0, 2.0, 0.0)),
    "tanh": (jnp.tanh, (1.0, 1.0, 0.0)),
    # critical at q = 1/2
    "tanh with biases": (jnp.tanh, (1.68797512, 1.68797512, 0.0380412011)),
    "gelu": (jax.nn.gelu, None),
}
INPUTS, OUTPUTS, BATCH = 32, 10, 32


def network(activation, depth, width):
    """Return the Model of a plain critical network, its initialization, and a batch of inputs."""
    phi, point = ACTIVATIONS[activation]
    first_w2, sigma_w2, sigma_b2 = point or deep_variances(phi, depth, has_biases=True)[:3]
    sizes = [INPUTS, *[width] * depth, OUTPUTS]

    pairs = list(pairwise(sizes))
    ends = np.cumsum([(fan_in + 1) * units for fan_in, units in pairs])

    def init(key):
        # One draw for all layers, because JAX needs a second to compile each.
        flat = jnp.split(normals(key, (ends[-1],)), ends[:-1])
        matrices = [each.reshape(-1, units) for each, (_, units) in zip(flat, pairs, strict=True)]
        return [
            {
                "kernel": matrix[1:]
                * ((sigma_w2 if place else first_w2) / (len(matrix) - 1)) ** 0.5,
                "bias": matrix[0] * sigma_b2**0.5,
            }
            for place, matrix in enumerate(matrices)
        ]

    def apply(params, x):
        *hidden, last = params
        for layer in hidden:
            x = phi(x @ layer["kernel"] + layer["bias"][None])
        return x @ last["kernel"] + last["bias"][None]

    x = normals(7, (BATCH, INPUTS))
    return jinit.trace(apply, jax.eval_shape(init, jax.random.key(0)), x, init=init), init, x


def _kernel(change):
    def plant(params, place, key):
        kernel, before = params[place]["kernel"], params[place - 1]["kernel"]
        params[place] |= {"kernel": change(kernel, before, key)}

    return plant


def _equal_units(params, place, key):
    """Give two units the same weights, before them and after them.

    They are positive, so that relu does not switch both of them off for all inputs.
    """
    kernel, after = params[place]["kernel"], params[place + 1]["kernel"]
    active = abs(kernel[:, 5])
    params[place] |= {"kernel": kernel.at[:, 3].set(active).at[:, 5].set(active)}
    params[place + 1] |= {"kernel": after.at[3].set(after[5])}


def _biases(params, place, key):
    params[place] |= {"bias": params[place]["bias"] - 100}


FAULTS = {
    "thirty times too large": (_kernel(lambda w, _, key: 30 * w), ("exploding", "saturated")),
    "thirty times too small": (_kernel(lambda w, _, key: w / 30), ("vanishing",)),
    "constant": (
        _kernel(lambda w, _, key: 0 * w + 0.1),
        ("misscaled", "collapsed", "chaotic"),
    ),
    "two equal units": (_equal_units, ("symmetric",)),
    "a key used twice": (_kernel(lambda w, before, key: before), ("symmetric",)),
    "one NaN": (_kernel(lambda w, _, key: w.at[2, 2].set(jnp.nan)), ("overflowing",)),
    "positive weights": (
        _kernel(lambda w, _, key: jax.random.uniform(key, w.shape)),
        ("misscaled", "exploding", "saturated", "chaotic"),
    ),
    "biases of -100": (_biases, ("dead", "saturated")),
}
"""Functions that plant a fault in the layer at a place, and the verdicts that name it."""
