"""Networks that methods are tested on, and the statistics of their layers by plain evaluation."""

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from arrays import normals
from flax import linen as nn
from flax import nnx

from jinit.model import apply_taps

FEATURES, WIDTH, OUTPUTS = 9, 16, 3


def inputs(examples: int = 64, features: int = FEATURES, seed: int = 1) -> jax.Array:
    return 2 * normals(seed, (examples, features)) + 0.5


class Mlp(nn.Module):
    """A chain of dense layers, with biases that are not zero."""

    depth: int = 4

    @nn.compact
    def __call__(self, x):
        for _ in range(self.depth):
            x = nn.tanh(nn.Dense(WIDTH, bias_init=nn.initializers.normal(0.3))(x))
        return nn.Dense(OUTPUTS)(x)


class Residual(nn.Module):
    """Convolutions with BatchNorm and a residual branch."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (2, 2))(x.reshape(-1, 3, 3, 1))
        y = nn.BatchNorm(use_running_average=not train)(nn.relu(x))
        x = x + nn.Conv(4, (3, 3))(y)
        return nn.Dense(OUTPUTS)(x.reshape(len(x), -1))


class Scanned(nn.Module):
    """Stacked kernels in a loop, and two members of an ensemble."""

    @nn.compact
    def __call__(self, x):
        class Body(nn.Module):
            @nn.compact
            def __call__(self, x, _):
                return nn.tanh(nn.Dense(FEATURES)(x)), None

        loop = nn.scan(Body, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = loop()(x, None)
        members = nn.vmap(
            nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True},
            in_axes=None, out_axes=0, axis_size=2,
        )  # fmt: skip
        return members(OUTPUTS)(x).mean(0)


class Recurrent(nn.Module):
    """A kernel that every step applies again."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(OUTPUTS)(nn.RNN(nn.OptimizedLSTMCell(4))(x.reshape(-1, 3, 3))[:, -1])


class Attention(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8)(x.reshape(-1, 3, 3))
        x = x + nn.MultiHeadDotProductAttention(2)(nn.LayerNorm()(x))
        return nn.Dense(OUTPUTS)(x.mean(1))


class Shared(nn.Module):
    """One layer that is applied twice."""

    @nn.compact
    def __call__(self, x):
        dense = nn.Dense(FEATURES)
        return nn.Dense(OUTPUTS)(nn.tanh(dense(nn.relu(dense(x)))))


class Twin(nnx.Module):
    """The network of `Mlp` with two layers in NNX."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(FEATURES, WIDTH, rngs=rngs)
        self.second = nnx.Linear(WIDTH, OUTPUTS, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.second(nnx.tanh(self.first(x)))


def layer_variances(model: Any, params: Any, *examples: Any) -> np.ndarray:
    """The variance of every pre-activation with its bias, by NumPy, one layer use at a time."""
    taps = {
        each.bias_place or each.place: lambda operands, result, probe: (result, result)
        for each in model.contractions
    }
    leaves = jax.tree.leaves((params, list(examples)))
    _, seen = apply_taps(model.graph, leaves, taps)
    found = []
    for number, iteration in model.layers:
        each = model.contractions[number]
        value = np.asarray(seen[each.bias_place or each.place], np.float64)
        value = value.reshape(-1, *value.shape[len(each.loop_lengths) :])
        kept = value if iteration is None else value[iteration : iteration + 1]
        found.append(np.mean([step.var() for step in kept]))
    return np.array(found)


def relu_mlp(widths: tuple[int, ...]) -> Any:
    """A pure function and its parameters, without biases."""
    keys = jax.random.split(jax.random.key(7), len(widths) - 1)
    params = [normals(key, pair) / 5 for key, pair in zip(keys, pairwise(widths), strict=True)]

    def apply(params, x):
        for kernel in params[:-1]:
            x = jnp.maximum(x @ kernel, 0)
        return x @ params[-1]

    return partial(apply), params
