"""Faults planted between two layers of networks that are healthy without them."""

import jax
import jax.numpy as jnp
import numpy as np
from arrays import normals
from diagnostics.zoo.parts import LABELS, OUTPUTS, ROWS, WIDTH, Network, X
from jax.nn import relu

DEPTH = 7
PLACES = (1, 3, 5)
CROWD = np.asarray(np.random.default_rng(1).random((ROWS, ROWS)) < 0.9, np.float32)
SENDERS, RECEIVERS = np.nonzero(CROWD)
Z = normals(40, (ROWS, 8))


def twice(operation):
    """Sums of independent rows alone grow like a root of their number, which may be healthy."""
    return lambda h: operation(operation(h))


@twice
def neighbor_sum(h):
    return jax.ops.segment_sum(h[SENDERS], RECEIVERS, ROWS)


@twice
def row_sum(h):
    return h + h.sum(0, keepdims=True)


@twice
def crowd_product(h):
    return jnp.asarray(CROWD) @ h


@twice
def cumulative_sum(h):
    return jnp.cumsum(h, 0)


def pieces(h):
    return h.reshape(len(h), 4, -1)


def unscaled_maxout(h):
    return 30 * jnp.repeat(pieces(h).max(1), 4, -1)


def unscaled_join(h):
    return jnp.concatenate([h[:, :8], 50 * h[:, 8:]], -1)


def root_of_part(h):
    """A root whose argument is often zero, where its derivative is infinite."""
    return jnp.sqrt(jnp.maximum(h - 0.5, 0))


def to_integers(h):
    return (0.1 * h).astype(jnp.int8).astype(jnp.float32)


# name: (operation on the signal after an activation, verdicts, words that the cause has)
BETWEEN = {
    "sum over neighbors": (neighbor_sum, ("exploding",), "segment_sum"),
    "sum over rows": (row_sum, ("exploding",), "the sum over axis 0"),
    "adjacency": (crowd_product, ("exploding",), "the matrix product"),
    "join": (unscaled_join, ("exploding",), "the factor 50"),
    "maxout": (unscaled_maxout, ("exploding",), "the factor 30"),
    "attention": (lambda h: h @ h.T @ h, ("exploding",), "the matrix product"),
    "power": (lambda h: (3 * h) ** 4, ("exploding", "chaotic"), "the power 4"),
    "cumulative sum": (cumulative_sum, ("exploding",), "cumsum over axis 0"),
    "Fourier transform": (lambda h: jnp.fft.fft2(h).real, ("exploding",), "fft"),
    "logarithm": (lambda h: jnp.log(h - 0.1), ("overflowing",), "log"),
    "root": (lambda h: jnp.sqrt(h - 0.1), ("overflowing",), "sqrt"),
    "quotient": (lambda h: h / (h - h), ("overflowing",), "the division"),
    "exponential": (lambda h: jnp.exp(200 * h), ("overflowing",), "exp"),
    "root of zero": (root_of_part, ("overflowing",), "the derivative of sqrt"),
    "integers": (to_integers, ("vanishing", "dead"), "the conversion to int8"),
    "rounding": (jnp.round, ("vanishing", "dead"), "round"),
    "stopped gradient": (jax.lax.stop_gradient, ("vanishing", "dead"), "stop_gradient"),
    "factor of zero": (lambda h: 0 * h, ("vanishing", "dead"), "the factor 0"),
    "comparison": (lambda h: (h > 0.5) * 1.0, ("vanishing", "dead"), "a comparison"),
}  # fmt: skip

# Entry by entry: the operation is part of the activation of the layer before it.
ELEMENTWISE = {
    *("power", "logarithm", "root", "quotient", "exponential", "root of zero", "integers"),
    *("rounding", "stopped gradient", "factor of zero", "comparison"),
}


def chain(phi, gain):
    """A chain of layers."""
    return lambda h, kernel: phi(h @ kernel), gain


def branches(h, kernel):
    return h + relu(h @ kernel) / DEPTH**0.5


NETWORKS = {
    "relu": chain(relu, 2.0),
    "elu": chain(jax.nn.elu, 1.5),
    "branches": (branches, 1.0),
}


def network(name, place=None, operation=None):
    """The network of a name, with an operation after the layer at a place."""
    block, gain = NETWORKS[name]

    def init(key):
        kernels = normals(key, (DEPTH + 1, WIDTH, WIDTH)) / WIDTH**0.5
        return {"hidden": list(gain**0.5 * kernels[:-1]), "out": kernels[-1, :, :OUTPUTS]}

    def apply(params, h):
        for number, kernel in enumerate(params["hidden"]):
            h = block(h, kernel)
            if number == place:
                h = operation(h)
        return h @ params["out"]

    return Network(init, apply, (X,), (LABELS,))
