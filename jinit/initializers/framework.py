"""What other frameworks start their layers from, under their names."""

import math
from collections.abc import Sequence

import jax

from jinit.initializers.base import positive_integer
from jinit.initializers.published import xavier_uniform
from jinit.initializers.random import RandomUniform, random_uniform
from jinit.initializers.variance import TRUNCATED_STD, VarianceScaling, variance_scaling

_Axes = int | Sequence[int]
_DType = jax.typing.DTypeLike | None


def torch_default(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Uniform on `±1/√n_in`, variance `1 / (3 n_in)`: PyTorch's Linear and Conv layers.

    PyTorch writes it `kaiming_uniform_(a=√5)`. Its biases are drawn as well: `torch_default_bias`.

    Args and errors: see `variance_scaling`.

    Reference: LeCun et al., "Efficient BackProp", 1998, section 4.6 (uniform without its √3).

    >>> import jax
    >>> w = torch_default()(jax.random.key(0), (100, 64))
    >>> bool((abs(w) <= 0.1).all() and w.max() > 0.09)
    True
    """
    return variance_scaling(1 / 3, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def torch_default_bias(fan_in: int, dtype: _DType = None) -> RandomUniform:
    """Uniform on `±1/√fan_in`: the bias beside a PyTorch kernel of that fan_in.

    A bias has one entry per output and cannot know how many inputs there are: it has to be said.

    Args:
      fan_in: inputs of the layer, taps included, at least 1. dtype: default dtype of the result.

    Raises:
      ValueError: `fan_in` below 1. TypeError: it is no integer.

    >>> import jax
    >>> b = torch_default_bias(100)(jax.random.key(0), (64,))
    >>> bool((abs(b) <= 0.1).all())
    True
    """
    bound = 1 / math.sqrt(positive_integer("fan_in", fan_in))
    return random_uniform(-bound, bound, dtype)


def keras_default(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Uniform on `±√(6 / (n_in + n_out))`: kernels of Keras layers, the same as `xavier_uniform`.

    Biases of Keras layers are zero.

    Args and errors: see `variance_scaling`.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 16.

    >>> import jinit
    >>> keras_default() == jinit.xavier_uniform()
    True
    """
    return xavier_uniform(in_axis, out_axis, batch_axis, dtype)


def haiku_default(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """`z / √n_in`, z standard normal cut at ±2: kernels of Haiku and Sonnet layers.

    The cut is not corrected for, so that the variance is `0.774 / n_in`, less than that of
    `lecun_normal`. Biases are zero.

    Args and errors: see `variance_scaling`.

    Reference: Ioffe & Szegedy, "Batch normalization", 2015 (the draw that Haiku's source names).

    >>> import jax
    >>> w = haiku_default()(jax.random.key(0), (400, 64))
    >>> bool((abs(w) <= 0.1).all() and abs(w.std() * 20 - 0.88) < 0.02)
    True
    """
    scale = TRUNCATED_STD**2
    return variance_scaling(
        scale, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype
    )
