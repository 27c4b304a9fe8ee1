"""The multilayer perceptron that `jinit sweep` trains by default."""

import itertools

import jax
import jax.numpy as jnp

from jinit.sweep.counts import check_count
from jinit.sweep.feed_forward import FeedForward, Functions, Product
from jinit.sweep.layers import (
    ActivationLike,
    InitLike,
    activation_function,
    check_rate,
    initializer_function,
)
from jinit.sweep.normalization import Normalization


def mlp(
    features: int,
    outputs: int,
    *,
    depth: int = 8,
    width: int = 64,
    activation: ActivationLike = "relu",
    init: InitLike = "he_normal",
    normalization: str = "none",
    statistics_momentum: float = 0.9,
    dropout: float = 0.0,
) -> Functions:
    """Return a multilayer perceptron as pure functions.

    It has `depth` hidden layers of `width` units and a linear output layer. Kernels are drawn by
    the initializer, biases are zero. A normalization has scales of 1 and biases of 0 and comes
    before the activation, dropout after it.

    Args:
      features: size of a flattened example.
      outputs: number of outputs.
      depth: number of hidden layers.
      width: units of each hidden layer.
      activation: a function of an array, or its name, such as `relu`.
      init: an initializer, or its name.
      normalization: `none`, `batch` or `layer`.
      statistics_momentum: weight of the old value in the moving averages of BatchNorm.
      dropout: probability that a hidden unit is set to 0 in training.

    Returns:
      `(init, apply)`: `init(key)` returns parameters, and `apply(params, inputs)` maps inputs
      `[batch, ...]` to outputs `[batch, outputs]`; with dropout it takes a `key` as well. With
      BatchNorm `(init, train, evaluate)`, as from `cnn`.

    Raises:
      ValueError: if a size is below 1, a name is unknown, or a rate is not from 0 to below 1.

    >>> import jax
    >>> init, apply = mlp(64, 10, depth=2, width=32)
    >>> apply(init(jax.random.key(0)), jax.numpy.ones((5, 64))).shape
    (5, 10)
    """
    sizes = [features, *[check_count("width", width)] * check_count("depth", depth), outputs]
    return FeedForward(
        [Product(shape, _multiply) for shape in itertools.pairwise(sizes)],
        initializer_function(init),
        activation_function(activation),
        Normalization(normalization, statistics_momentum),
        check_rate("dropout", dropout),
    ).functions()


def _multiply(signal: jax.Array, kernel: jax.Array) -> jax.Array:
    return jnp.reshape(signal, (signal.shape[0], -1)) @ kernel
