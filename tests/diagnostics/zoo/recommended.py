"""Healthy networks that start from the initialization that jinit recommends for them."""

import jax
import jax.numpy as jnp
from diagnostics.zoo.feed_forward import NETWORKS as FEED_FORWARD
from diagnostics.zoo.mixing_rows import NETWORKS as MIXING_ROWS
from diagnostics.zoo.parts import (
    LABELS,
    OUTPUTS,
    SET_LABELS,
    SETS,
    WIDTH,
    Network,
    X,
    stack,
)
from diagnostics.zoo.recurrent import NETWORKS as RECURRENT
from flax import linen as nn
from jax.nn import gelu, relu, sigmoid, silu

import jinit

SQUARE = (WIDTH, WIDTH)


def recommended(build):
    """Return a function of the depth whose networks start as recommended."""

    def rebuild(depth):
        network = build(depth)
        return network._replace(init=jinit.recommend(network.model()).init)

    return rebuild


def activation(phi):
    return recommended(
        stack(
            lambda p, h: phi(h @ p["w"] + p["b"]), {"w": SQUARE}, extra={"b": jnp.zeros((1, WIDTH))}
        )
    )


def gated_unit(p, h):
    return (h @ p["w"]) * sigmoid(h @ p["gate"])


def flax_network(block, x=X, targets=LABELS, dtype=jnp.float32, **options):
    """Blocks of Flax and a head, from the initialization that is recommended."""

    def build(depth):
        class Net(nn.Module):
            @nn.compact
            def __call__(self, h):
                for _ in range(depth):
                    h = block(h, dtype)
                return nn.Dense(OUTPUTS, param_dtype=dtype)(h if h.ndim == 2 else h.mean(1))

        def apply(variables, x):
            return Net().apply(variables, x, mutable=["batch_stats"])[0]

        return Network(lambda key: Net().init(key, x), apply, (x,), (targets,))

    return recommended(build)


def transformer(h, dtype):
    h = h + nn.MultiHeadDotProductAttention(4, param_dtype=dtype)(
        nn.LayerNorm(param_dtype=dtype)(h)
    )
    inner = gelu(nn.Dense(2 * WIDTH, param_dtype=dtype)(nn.LayerNorm(param_dtype=dtype)(h)))
    return h + nn.Dense(WIDTH, param_dtype=dtype)(inner)


def post_norm_transformer(h, dtype):
    h = nn.LayerNorm()(h + nn.MultiHeadDotProductAttention(4)(h))
    return nn.LayerNorm()(h + nn.Dense(WIDTH)(gelu(nn.Dense(2 * WIDTH)(h))))


def dense(h, dtype):
    return relu(nn.Dense(WIDTH, param_dtype=dtype)(h))


def weight_norm(h, dtype):
    return relu(nn.WeightNorm(nn.Dense(WIDTH))(h))


def spectral_norm(h, dtype):
    """Norms of 1 make the signal decay, so that deep networks need a residual stream."""
    return h + relu(nn.SpectralNorm(nn.Dense(WIDTH))(h, update_stats=True)) / 2


def gated(h, dtype):
    u = nn.LayerNorm()(h)
    return h + nn.Dense(WIDTH)(silu(nn.Dense(WIDTH)(u)) * nn.Dense(WIDTH)(u))


ON_SETS = {"x": SETS, "targets": SET_LABELS}
NETWORKS = {
    "sin(30 z)": activation(lambda z: jnp.sin(30 * z)),
    "sin(z)": activation(jnp.sin),
    "tanh(10 z)": activation(lambda z: jnp.tanh(10 * z)),
    "tanh(z / 3)": activation(lambda z: jnp.tanh(z / 3)),
    "gelu": activation(gelu),
    "silu": activation(silu),
    "selu": activation(jax.nn.selu),
    "relu(5 z)": activation(lambda z: relu(5 * z)),
    "softsign": activation(jax.nn.soft_sign),
    "gated units": recommended(stack(gated_unit, {"w": SQUARE, "gate": SQUARE})),
    "Flax transformer": flax_network(transformer, **ON_SETS),
    "Flax post-norm transformer": flax_network(post_norm_transformer, **ON_SETS),
    "bfloat16": flax_network(dense, dtype=jnp.bfloat16),
    "bfloat16 transformer": flax_network(transformer, dtype=jnp.bfloat16, **ON_SETS),
    "Flax weight norm": flax_network(weight_norm),
    "Flax spectral norm": flax_network(spectral_norm),
    "Flax gated branch": flax_network(gated),
    **{
        name: recommended(FEED_FORWARD[name])
        for name in (
            "highway",
            "dense net",
            "U-net",
            "weight standardization",
            "maxout 4",
            "siamese distance",
            "ensemble",
        )
    },
    **{
        f"recommended {name}": recommended(RECURRENT[name])
        for name in ("LSTM", "LSTM of separate gates", "GRU", "simple cell", "scanned gate")
    },
    **{
        name: recommended(MIXING_ROWS[name])
        for name in ("message passing", "graph attention", "deep sets", "mixer", "kernel attention")
    },
}
