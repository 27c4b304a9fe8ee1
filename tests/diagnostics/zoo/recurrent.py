"""Healthy recurrent networks: loops over time, unrolled or scanned, by hand and in Flax."""

import jax
import jax.numpy as jnp
from arrays import normals
from diagnostics.zoo.parts import OUTPUTS, SET_LABELS, WIDTH, Network, draw
from flax import linen as nn
from jax.nn import relu, sigmoid

import jinit

BATCH = 16


def sequences(length):
    return normals(36, (BATCH, length, WIDTH))


def recurrent(phi, gain, is_scanned, gate=False):
    """A recurrent network over twice `depth` steps, with an orthogonal kernel."""

    def build(depth):
        def init(key):
            sizes = {
                "input": ((WIDTH, WIDTH), 0.1),
                "gate": (WIDTH, WIDTH),
                "head": (WIDTH, OUTPUTS),
            }
            return draw(key, sizes) | {"recurrent": jinit.orthogonal(gain)(key, (WIDTH, WIDTH))}

        def step(params, h, x):
            new = phi(h @ params["recurrent"] + x @ params["input"])
            if not gate:
                return new
            share = sigmoid(h @ params["gate"] + 1)
            return share * h + (1 - share) * new

        def apply(params, x):
            h = jnp.zeros((BATCH, WIDTH))
            if is_scanned:
                h, _ = jax.lax.scan(lambda h, x: (step(params, h, x), None), h, x.swapaxes(0, 1))
            else:
                for time in range(x.shape[1]):
                    h = step(params, h, x[:, time])
            return h @ params["head"]

        return Network(init, apply, inputs=(sequences(2 * depth),), targets=(SET_LABELS,))

    return build


def flax_recurrent(cell, layers=1):
    """Cells of Flax over 4 `depth` steps."""

    def build(depth):
        class Net(nn.Module):
            @nn.compact
            def __call__(self, x):
                for _ in range(layers):
                    x = nn.RNN(cell(WIDTH))(x)
                return nn.Dense(OUTPUTS)(x[:, -1])

        inputs = (sequences(4 * depth),)
        return Network(
            lambda key: Net().init(key, *inputs), Net().apply, inputs, targets=(SET_LABELS,)
        )

    return build


def identity_cell(width):
    """Its state is a sum over all steps, so that the kernel of the inputs is small."""
    return nn.SimpleCell(
        width,
        activation_fn=relu,
        kernel_init=jinit.variance_scaling(0.02, "fan_in", "normal"),
        recurrent_kernel_init=jinit.identity(),
    )


NETWORKS = {
    "unrolled tanh": recurrent(jnp.tanh, 1.0, is_scanned=False),
    "scanned tanh": recurrent(jnp.tanh, 1.0, is_scanned=True),
    "unrolled relu": recurrent(relu, 1.0, is_scanned=False),
    "scanned relu": recurrent(relu, 1.0, is_scanned=True),
    "unrolled gate": recurrent(jnp.tanh, 1.0, is_scanned=False, gate=True),
    "scanned gate": recurrent(jnp.tanh, 1.0, is_scanned=True, gate=True),
    "LSTM": flax_recurrent(nn.OptimizedLSTMCell),
    "LSTM of separate gates": flax_recurrent(nn.LSTMCell),
    "two layers of LSTM": flax_recurrent(nn.OptimizedLSTMCell, 2),
    "GRU": flax_recurrent(nn.GRUCell),
    "minimal gated unit": flax_recurrent(nn.MGUCell),
    "simple cell": flax_recurrent(nn.SimpleCell),
    "identity cell": flax_recurrent(identity_cell),
}
