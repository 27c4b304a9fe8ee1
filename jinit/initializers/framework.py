"""Default initializers of other frameworks."""

import math

from jinit.initializers.base import DTypeOption, check_positive_integer
from jinit.initializers.fans import AxesLike
from jinit.initializers.named_scaling import xavier_uniform
from jinit.initializers.random import RandomUniform, random_uniform
from jinit.initializers.variance import TRUNCATED_STD, VarianceScaling, variance_scaling


def torch_default(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Return the initializer of PyTorch's Linear and Conv kernels: uniform on `±1/√n_in`.

    The variance is `1 / (3 n_in)`. PyTorch calls it `kaiming_uniform_(a=√5)`. Its biases are
    random too: see `torch_default_bias`.

    Args:
      in_axis: input axes of the kernel.
      out_axis: output axes.
      batch_axis: axes of independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if the shape does not have these axes or an axis has two roles.

    Reference: LeCun et al., "Efficient BackProp", 1998, section 4.6 (uniform without its √3).

    >>> import jax
    >>> w = torch_default()(jax.random.key(0), (100, 64))
    >>> bool((abs(w) <= 0.1).all() and w.max() > 0.09)
    True
    """
    return variance_scaling(1 / 3, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def torch_default_bias(fan_in: int, dtype: DTypeOption = None) -> RandomUniform:
    """Return the initializer of PyTorch's biases: uniform on `±1/√fan_in`.

    The shape of a bias does not tell the number of inputs, so `fan_in` must be given.

    Args:
      fan_in: number of inputs of the layer, taps included, at least 1.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `fan_in` is not an integer.
      ValueError: if `fan_in` is less than 1.

    >>> import jax
    >>> b = torch_default_bias(100)(jax.random.key(0), (64,))
    >>> bool((abs(b) <= 0.1).all())
    True
    """
    bound = 1 / math.sqrt(check_positive_integer("fan_in", fan_in))
    return random_uniform(-bound, bound, dtype)


def keras_default(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Return the initializer of Keras kernels: uniform on `±√(6 / (n_in + n_out))`.

    It equals `xavier_uniform`. Biases of Keras layers are zero.

    Args:
      in_axis: input axes of the kernel.
      out_axis: output axes.
      batch_axis: axes of independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if the shape does not have these axes or an axis has two roles.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 16.

    >>> import jinit
    >>> keras_default() == jinit.xavier_uniform()
    True
    """
    return xavier_uniform(in_axis, out_axis, batch_axis, dtype)


def haiku_default(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Return the initializer of Haiku and Sonnet kernels: `z / √n_in`, z normal truncated at ±2.

    z is not rescaled after the truncation, so the variance is `0.774 / n_in`, less than that of
    `lecun_normal`. Biases are zero.

    Args:
      in_axis: input axes of the kernel.
      out_axis: output axes.
      batch_axis: axes of independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if the shape does not have these axes or an axis has two roles.

    Reference: Ioffe & Szegedy, "Batch normalization", 2015 (cited in the source of Haiku).

    >>> import jax
    >>> w = haiku_default()(jax.random.key(0), (400, 64))
    >>> bool((abs(w) <= 0.1).all() and abs(w.std() * 20 - 0.88) < 0.02)
    True
    """
    scale = TRUNCATED_STD**2
    return variance_scaling(
        scale, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype
    )
