"""A convolutional network for images and for signals."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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


def cnn(
    input_shape: Sequence[int],
    outputs: int,
    *,
    channels: Sequence[int] = (16, 32),
    depth: int = 1,
    kernel_size: int = 3,
    activation: ActivationLike = "relu",
    init: InitLike = "he_normal",
    normalization: str = "batch",
    statistics_momentum: float = 0.9,
    dropout: float = 0.0,
) -> Functions:
    """Return a convolutional network as pure functions.

    It has `depth` convolutions for every number of channels, and a linear layer of outputs. The
    first convolution of every number but the first has stride 2, which halves the resolution.
    Kernels, `[*sizes, inputs, outputs]`, are drawn by the initializer, biases are zero. BatchNorm
    comes before the activation, dropout after it.

    Args:
      input_shape: shape of an example, channels last: `(8, 8, 1)` for an image, `(40, 1)` for a
        signal. Flat inputs are reshaped to it.
      outputs: number of outputs.
      channels: numbers of channels, one per resolution.
      depth: number of convolutions at each resolution.
      kernel_size: size of the kernels along every axis of space.
      activation: a function of an array, or its name, such as `relu`.
      init: an initializer, or its name.
      normalization: `batch`, `layer` (over channels) or `none`.
      statistics_momentum: weight of the old value in the moving averages of BatchNorm.
      dropout: probability that a unit is set to 0 in training.

    Returns:
      With BatchNorm `(init, train, evaluate)`: `init(key)` returns variables
      `{"params": ..., "batch_stats": ...}`, `train(variables, key, inputs)` outputs
      `[batch, outputs]` and updated variables, `evaluate(variables, inputs)` outputs. Otherwise
      `(init, apply)`, as from `mlp`.

    Raises:
      ValueError: if a size is below 1, a name is unknown, or a rate is not from 0 to below 1.

    >>> import jax
    >>> init, train, evaluate = cnn((8, 8, 1), 10)
    >>> evaluate(init(jax.random.key(0)), jax.numpy.ones((5, 8, 8, 1))).shape
    (5, 10)
    """
    shape = _check_shape(input_shape)
    size = check_count("kernel_size", kernel_size)
    products: list[Product] = []
    for stage, count in enumerate(_check_channels(channels)):
        for place in range(check_count("depth", depth)):
            stride = 2 if stage and not place else 1
            kernel = (*[size] * (len(shape) - 1), shape[-1], count)
            products.append(Product(kernel, partial(_convolve, shape=shape, stride=stride)))
            shape = (*(-(-side // stride) for side in shape[:-1]), count)
    products.append(Product((int(np.prod(shape)), outputs), _multiply))
    return FeedForward(
        products,
        initializer_function(init),
        activation_function(activation),
        Normalization(normalization, statistics_momentum),
        check_rate("dropout", dropout),
    ).functions()


def _check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    sides = tuple(check_count("input_shape", side) for side in shape)
    if len(sides) < 2:
        raise ValueError(
            f"input_shape: expected axes of space and then one of channels, such as (8, 8, 1) or "
            f"(40, 1), got {tuple(shape)}"
        )
    return sides


def _check_channels(channels: object) -> tuple[int, ...]:
    if not isinstance(channels, tuple | list) or not channels:
        raise ValueError(f"channels: expected a list such as (16, 32), got {channels!r}")
    return tuple(check_count("channels", count) for count in channels)


def _convolve(
    signal: jax.Array, kernel: jax.Array, shape: tuple[int, ...], stride: int
) -> jax.Array:
    """Return a convolution padded with zeros, of a signal of this shape per example."""
    axes = "HWDUV"[: len(shape) - 1]
    return lax.conv_general_dilated(
        jnp.reshape(signal, (signal.shape[0], *shape)),
        kernel,
        window_strides=(stride,) * len(axes),
        padding="SAME",
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )


def _multiply(signal: jax.Array, kernel: jax.Array) -> jax.Array:
    return jnp.reshape(signal, (signal.shape[0], -1)) @ kernel
