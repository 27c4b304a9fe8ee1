"""The published members of the variance-scaling family, each one line of its theory."""

from collections.abc import Sequence

import jax

from jinit.initializers.variance import VarianceScaling, variance_scaling

_Axes = int | Sequence[int]
_DType = jax.typing.DTypeLike | None


def he_normal(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Truncated normal with variance `2 / n_in`: keeps the second moment through relu.

    Args and errors: see `variance_scaling`.

    Reference: He et al., "Delving deep into rectifiers", 2015, equation 10.

    >>> import jax
    >>> w = he_normal()(jax.random.key(0), (200, 100))
    >>> bool(abs(w.var() * 200 - 2) < 0.1)
    True
    """
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Uniform on `±√(6 / n_in)`, variance `2 / n_in`: keeps the second moment through relu.

    Args and errors: see `variance_scaling`.

    Reference: He et al., "Delving deep into rectifiers", 2015, equation 10.

    >>> import jax
    >>> w = he_uniform()(jax.random.key(0), (150, 100))
    >>> bool((abs(w) <= 0.2).all())
    True
    """
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def xavier_normal(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Truncated normal with variance `2 / (n_in + n_out)`: a compromise between both directions.

    Args and errors: see `variance_scaling`.

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
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Uniform on `±√(6 / (n_in + n_out))`: Glorot and Bengio's normalized initialization.

    Args and errors: see `variance_scaling`.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 16.

    >>> import jax
    >>> w = xavier_uniform()(jax.random.key(0), (100, 50))
    >>> bool((abs(w) <= 0.2).all())
    True
    """
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Truncated normal with variance `1 / n_in`: keeps the second moment of a linear layer.

    Args and errors: see `variance_scaling`.

    Reference: LeCun et al., "Efficient BackProp", 1998, section 4.6.

    >>> import jax
    >>> w = lecun_normal()(jax.random.key(0), (200, 100))
    >>> bool(abs(w.var() * 200 - 1) < 0.05)
    True
    """
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def lecun_uniform(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Uniform on `±√(3 / n_in)`, variance `1 / n_in`.

    Args and errors: see `variance_scaling`.

    Reference: LeCun et al., "Efficient BackProp", 1998, section 4.6.

    >>> import jax
    >>> w = lecun_uniform()(jax.random.key(0), (75, 100))
    >>> bool((abs(w) <= 0.2).all())
    True
    """
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def xavier_fan_in_normal(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Xavier's other published form, variance `1 / n_in`: the same value as `lecun_normal`.

    Args and errors: see `variance_scaling`.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 10 (forward condition only).

    >>> xavier_fan_in_normal() == lecun_normal()
    True
    """
    return lecun_normal(in_axis, out_axis, batch_axis, dtype)


def xavier_fan_in_uniform(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Xavier's other published form, uniform with variance `1 / n_in`; equals `lecun_uniform`.

    Args and errors: see `variance_scaling`.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 10 (forward condition only).

    >>> xavier_fan_in_uniform() == lecun_uniform()
    True
    """
    return lecun_uniform(in_axis, out_axis, batch_axis, dtype)


def sigmoid_normal(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Truncated normal with variance `4 / n_in`, for logistic units.

    The logistic function is `(1 + tanh(x/2))/2`: its argument is halved, so weights of twice the
    size, four times the variance, put its units where `1/n_in` puts those of tanh.

    Args and errors: see `variance_scaling`.

    >>> import jax
    >>> w = sigmoid_normal()(jax.random.key(0), (200, 100))
    >>> bool(abs(w.var() * 200 - 4) < 0.2)
    True
    """
    return variance_scaling(4.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def sigmoid_uniform(
    in_axis: _Axes = -2, out_axis: _Axes = -1, batch_axis: _Axes = (), dtype: _DType = None
) -> VarianceScaling:
    """Uniform on `±√(12 / n_in)`, variance `4 / n_in`, for logistic units.

    Args and errors: see `variance_scaling`.

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
