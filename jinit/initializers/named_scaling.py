"""Named variance-scaling initializers: He, Xavier (Glorot), LeCun and those for sigmoids."""

from jinit.initializers.base import DTypeOption
from jinit.initializers.fans import AxesLike
from jinit.initializers.variance import VarianceScaling, variance_scaling


def he_normal(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Truncated normal with variance `2 / n_in`, which preserves the second moment with relu.

    Complex values are those of JAX, whose variance E[|w|²] is 1.0187 times as large.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    Reference: He et al., "Delving deep into rectifiers", 2015, equation 10.

    >>> import jax
    >>> w = he_normal()(jax.random.key(0), (200, 100))
    >>> bool(abs(w.var() * 200 - 2) < 0.1)
    True
    """
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Uniform on `±√(6 / n_in)`, variance `2 / n_in`: preserves the second moment with relu.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    Reference: He et al., "Delving deep into rectifiers", 2015, equation 10.

    >>> import jax
    >>> w = he_uniform()(jax.random.key(0), (150, 100))
    >>> bool((abs(w) <= 0.2).all())
    True
    """
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def xavier_normal(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Truncated normal with variance `2 / (n_in + n_out)`.

    This is a compromise between the forward condition `1 / n_in` and the backward one `1 / n_out`.

    Complex values are those of JAX, whose variance E[|w|²] is 1.0187 times as large.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 12.

    >>> import jax
    >>> w = xavier_normal()(jax.random.key(0), (200, 100))
    >>> bool(abs(w.var() * 150 - 1) < 0.05)
    True
    """
    return variance_scaling(
        1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype
    )


def xavier_uniform(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Uniform on `±√(6 / (n_in + n_out))`: the normalized initialization of Glorot and Bengio.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 16.

    >>> import jax
    >>> w = xavier_uniform()(jax.random.key(0), (100, 50))
    >>> bool((abs(w) <= 0.2).all())
    True
    """
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Truncated normal with variance `1 / n_in`, which preserves the second moment if linear.

    Complex values are those of JAX, whose variance E[|w|²] is 1.0187 times as large.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    Reference: LeCun et al., "Efficient BackProp", 1998, section 4.6.

    >>> import jax
    >>> w = lecun_normal()(jax.random.key(0), (200, 100))
    >>> bool(abs(w.var() * 200 - 1) < 0.05)
    True
    """
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def lecun_uniform(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Uniform on `±√(3 / n_in)`, variance `1 / n_in`.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    Reference: LeCun et al., "Efficient BackProp", 1998, section 4.6.

    >>> import jax
    >>> w = lecun_uniform()(jax.random.key(0), (75, 100))
    >>> bool((abs(w) <= 0.2).all())
    True
    """
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def xavier_fan_in_normal(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Forward-only form of Xavier: variance `1 / n_in`, equal to `lecun_normal`.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 10 (forward condition only).

    >>> xavier_fan_in_normal() == lecun_normal()
    True
    """
    return lecun_normal(in_axis, out_axis, batch_axis, dtype)


def xavier_fan_in_uniform(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Forward-only form of Xavier: uniform with variance `1 / n_in`, equal to `lecun_uniform`.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 10 (forward condition only).

    >>> xavier_fan_in_uniform() == lecun_uniform()
    True
    """
    return lecun_uniform(in_axis, out_axis, batch_axis, dtype)


def sigmoid_normal(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Truncated normal with variance `4 / n_in`, for logistic units.

    The logistic function is `(1 + tanh(x/2))/2`, which halves its argument. Weights with four times
    the variance therefore give it the pre-activations that `1 / n_in` gives tanh.

    Complex values are those of JAX, whose variance E[|w|²] is 1.0187 times as large.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    >>> import jax
    >>> w = sigmoid_normal()(jax.random.key(0), (200, 100))
    >>> bool(abs(w.var() * 200 - 4) < 0.2)
    True
    """
    return variance_scaling(4.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def sigmoid_uniform(
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> VarianceScaling:
    """Uniform on `±√(12 / n_in)`, variance `4 / n_in`, for logistic units.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if an axis has two roles or the shape does not have these axes.

    >>> import jax
    >>> w = sigmoid_uniform()(jax.random.key(0), (300, 100))
    >>> bool((abs(w) <= 0.2).all())
    True
    """
    return variance_scaling(4.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


glorot_normal = xavier_normal
glorot_uniform = xavier_uniform
kaiming_normal = he_normal
kaiming_uniform = he_uniform
