"""Faults planted in the parameters of unusual layers: normalized weights, own scales, bfloat16."""

import jax
import jax.numpy as jnp
from arrays import normals
from diagnostics.zoo.parts import LABELS, OUTPUTS, WIDTH, Network, X, layer_norm, unit_columns
from jax.nn import relu

DEPTH = 6


def weight_norm(p, h):
    return relu(h @ unit_columns(p["w"]) * p["scale"])


def standardized(p, h):
    w = p["w"] - p["w"].mean(0, keepdims=True)
    return relu(h @ (w / jnp.sqrt((w**2).mean(0, keepdims=True) + 1e-8) * WIDTH**-0.5) * p["scale"])


def scaled_tanh(p, h):
    return jnp.tanh(10 * h @ p["w"])


def scaled_sine(p, h):
    return jnp.sin(30 * h @ p["w"])


def maxout(p, h):
    return (h @ p["pieces"]).reshape(-1, WIDTH, 4).max(-1) / 1.551**0.5


def equalized(p, h):
    """Kernels of deviation 1, multiplied by the scale that they need."""
    return relu(h @ (p["w"] * (2 / WIDTH) ** 0.5))


def normalized(p, h):
    return relu(layer_norm(h @ p["w"]) * p["scale"].astype(jnp.float32) + p["bias"])


def gated(p, h):
    return (h @ p["w"]) * jax.nn.sigmoid(h @ p["gate"])


def hypernetwork(p, h):
    """The kernel is made of a code of eight signs."""
    return relu(h @ (p["code"] @ p["w"]).reshape(WIDTH, WIDTH))


def offset_norm(p, h):
    """The scale is stored as its difference from 1."""
    return relu(layer_norm(h @ p["w"]) * (1 + p["offset"].astype(jnp.float32)))


ROW, SQUARE = (1, WIDTH), (WIDTH, WIDTH)
# layer: (function, shapes and deviations of the drawn parameters, values of others)
LAYERS = {
    "weight norm": (weight_norm, {"w": (SQUARE, 1.0)}, {"scale": jnp.full(ROW, 2**0.5)}),
    "standardized": (standardized, {"w": (SQUARE, 1.0)}, {"scale": jnp.full(ROW, 2**0.5)}),
    "tanh(10 z)": (scaled_tanh, {"w": (SQUARE, WIDTH**-0.5 / 10)}, {}),
    "sin(30 z)": (scaled_sine, {"w": (SQUARE, WIDTH**-0.5 / 30)}, {}),
    "maxout": (maxout, {"pieces": ((WIDTH, 4 * WIDTH), WIDTH**-0.5)}, {}),
    "equalized": (equalized, {"w": (SQUARE, 1.0)}, {}),
    "normalized": (
        normalized,
        {"w": (SQUARE, (2 / WIDTH) ** 0.5)},
        {"scale": jnp.ones(ROW), "bias": jnp.zeros(ROW)},
    ),
    "offset norm": (
        offset_norm,
        {"w": (SQUARE, (2 / WIDTH) ** 0.5)},
        {"offset": jnp.zeros(ROW, jnp.bfloat16)},
    ),
    "gated": (gated, {"w": (SQUARE, (3.4 / WIDTH) ** 0.5), "gate": (SQUARE, WIDTH**-0.5)}, {}),
    "hypernetwork": (
        hypernetwork,
        {"w": ((8, WIDTH**2), (2 / WIDTH / 8) ** 0.5)},
        {"code": jnp.array([[1.0, -1, 1, 1, -1, 1, -1, -1]])},
    ),
}


def unusual_network(name):
    """A network of one kind of layer."""
    function, drawn, values = LAYERS[name]

    def layer(key):
        keys = jax.random.split(key, len(drawn))
        return values | {
            path: std * normals(each, shape)
            for each, (path, (shape, std)) in zip(keys, drawn.items(), strict=True)
        }

    def init(key):
        *keys, last = jax.random.split(key, DEPTH + 1)
        out = normals(last, (WIDTH, OUTPUTS)) / WIDTH**0.5
        return {"layers": [layer(each) for each in keys], "out": out}

    def apply(params, h):
        for each in params["layers"]:
            h = function(each, h)
        return h @ params["out"]

    return Network(init, apply, (X,), (LABELS,))


def times(name, factor):
    def plant(layer, key):
        layer[name] = factor * layer[name]

    return plant


def filled(name, value):
    def plant(layer, key):
        layer[name] = jnp.full_like(layer[name], value)

    return plant


def narrow(name):
    """Draw in bfloat16, as JAX does for parameters of this dtype."""

    def plant(layer, key):
        std = layer[name].std()
        drawn = jax.random.normal(key, layer[name].shape, jnp.bfloat16)
        layer[name] = std * drawn.astype(jnp.float32)

    return plant


LARGE, SMALL = ("exploding", "saturated", "chaotic", "misscaled"), ("vanishing", "dead")
# fault: (layer, how to plant it, verdicts, words)
FAULTS = {
    "scale of weight norm": ("weight norm", times("scale", 40), LARGE, ""),
    "small scale of weight norm": ("weight norm", times("scale", 1 / 40), SMALL, ""),
    "scale of weight standardization": ("standardized", times("scale", 40), LARGE, ""),
    "own scale of tanh": ("tanh(10 z)", times("w", 20), LARGE, ""),
    "small kernel before tanh(10 z)": ("tanh(10 z)", times("w", 1 / 40), SMALL, ""),
    "own scale of sine": ("sin(30 z)", times("w", 30), LARGE, ""),
    "maxout": ("maxout", times("pieces", 30), LARGE, ""),
    "equalized": ("equalized", times("w", 30), LARGE, ""),
    "small equalized": ("equalized", times("w", 1 / 30), SMALL, ""),
    "gate and value": ("gated", times("w", 40), LARGE, ""),
    "dead normalization": ("normalized", filled("bias", -30.0), ("dead",), ""),
    "NaN in a scale": ("normalized", filled("scale", jnp.nan), ("overflowing",), "scale"),
    "zero scale and bias": ("normalized", filled("scale", 0.0), SMALL, ""),
    "hypernetwork": ("hypernetwork", times("w", 30), LARGE, ""),
    "small hypernetwork": ("hypernetwork", times("w", 1 / 30), SMALL, ""),
    "frozen": ("offset norm", filled("offset", 1.0), ("frozen",), "keep their value"),
    "drawn in bfloat16": ("weight norm", narrow("w"), ("stable",), "drawn in bfloat16"),
    "gate drawn in bfloat16": ("gated", narrow("gate"), ("stable",), "drawn in bfloat16"),
}
