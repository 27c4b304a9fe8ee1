"""Variance scaling: initializers whose variance is computed from the fans of the kernel."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jinit.choice import check_choice
from jinit.initializers.base import (
    Initializer,
    check_non_negative,
    check_positive_integer,
    dtype_name,
)
from jinit.initializers.fans import AxisIndices, Fans, Strides, check_axes, check_strides, fans
from jinit.initializers.marginals import (
    Marginal,
    normal_marginal,
    truncated_normal_marginal,
    uniform_marginal,
)
from jinit.sampling import (
    draw_complex_disk,
    draw_complex_truncated_normal,
    draw_normal,
    draw_truncated_normal,
    draw_uniform,
)

FanMode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
DistributionName = Literal["truncated_normal", "normal", "uniform"]

_DENOMINATORS: dict[FanMode, Callable[[Fans], float]] = {
    "fan_in": lambda f: f.fan_in,
    "fan_out": lambda f: f.fan_out,
    "fan_avg": lambda f: (f.fan_in + f.fan_out) / 2,
    "fan_geo_avg": lambda f: math.sqrt(f.fan_in * f.fan_out),
}
DISTRIBUTIONS: tuple[DistributionName, ...] = ("truncated_normal", "normal", "uniform")
# Standard deviation of a standard normal truncated to (-2, 2): sqrt(1 - 4 phi(2)/(2 Phi(2) - 1)).
TRUNCATED_STD = 0.87962566103423978
# The same for the standard complex normal with modulus below 2: sqrt(1 - 4/(e⁴ - 1)).
COMPLEX_TRUNCATED_STD = 0.96196182800821351
# JAX's number for it, sqrt(1 - 5 exp(-4)), which leaves out the mass beyond the bound.
_JAX_COMPLEX_TRUNCATED_STD = 0.95311164380491208

# Members of the family that are printed under their published names (named_scaling.py).
_MEMBER_NAMES = {
    (2.0, "fan_in", "truncated_normal"): "he_normal",
    (2.0, "fan_in", "uniform"): "he_uniform",
    (1.0, "fan_avg", "truncated_normal"): "xavier_normal",
    (1.0, "fan_avg", "uniform"): "xavier_uniform",
    (1.0, "fan_in", "truncated_normal"): "lecun_normal",
    (1.0, "fan_in", "uniform"): "lecun_uniform",
    (4.0, "fan_in", "truncated_normal"): "sigmoid_normal",
    (4.0, "fan_in", "uniform"): "sigmoid_uniform",
    (1 / 3, "fan_in", "uniform"): "torch_default",
    (TRUNCATED_STD**2, "fan_in", "truncated_normal"): "haiku_default",
}


@dataclass(frozen=True, repr=False)
class VarianceScaling(Initializer):
    """Mean 0 and variance `scale / n`, where `mode` selects n from the fans."""

    name = "variance_scaling"
    variance_formula = "scale / n"
    scale: float
    mode: FanMode
    distribution: DistributionName
    in_axis: AxisIndices = -2
    out_axis: AxisIndices = -1
    batch_axis: AxisIndices = ()
    groups: int = 1
    strides: Strides = 1
    input_dilation: Strides = 1

    def fans(self, shape: tuple[int, ...]) -> Fans:
        """Return the fans of a kernel of this shape."""
        return fans(
            shape,
            self.in_axis,
            self.out_axis,
            self.batch_axis,
            groups=self.groups,
            strides=self.strides,
            input_dilation=self.input_dilation,
        )

    def variance(self, shape: tuple[int, ...]) -> float:
        """Return the variance of an entry for this shape; 0 for a shape without entries."""
        denominator = _DENOMINATORS[self.mode](self.fans(shape))
        return self.scale / denominator if denominator else 0.0

    def variance_with_options(self) -> str:
        """Return the variance as text, such as `2 / fan_in`."""
        return f"{self.scale:g} / {self.mode}"

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the distribution of an entry with the variance for this shape."""
        return marginal_with_variance(self.distribution, self.variance(shape))

    def complex_std_ratio(self) -> float:
        """Return the standard deviation of complex entries over that of real ones.

        Where JAX has the same initializer, complex truncated normals are drawn as JAX draws them,
        with 1.0187 times the stated variance.
        """
        is_own = (self.groups, self.strides, self.input_dilation) != (1, 1, 1)
        if self.distribution != "truncated_normal" or is_own:
            return 1.0
        return COMPLEX_TRUNCATED_STD / _JAX_COMPLEX_TRUNCATED_STD

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw entries with the variance for this shape."""
        divisor = COMPLEX_TRUNCATED_STD / self.complex_std_ratio()
        variance = self.variance(shape)
        return draw_with_variance(self.distribution, variance, key, shape, dtype, divisor)

    def public_form(self) -> tuple[str, dict[str, Any]]:
        """Return the published name of the member, if it has one, and its options."""
        name, options = super().public_form()
        member = _MEMBER_NAMES.get((self.scale, self.mode, self.distribution))
        if member is None or options.keys() & {"groups", "strides", "input_dilation"}:
            return name, options
        implied = ("scale", "mode", "distribution")
        return member, {option: value for option, value in options.items() if option not in implied}


def variance_scaling(
    scale: float,
    mode: FanMode,
    distribution: DistributionName,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
    dtype: DTypeLike | None = None,
    *,
    groups: int = 1,
    strides: int | Sequence[int] = 1,
    input_dilation: int | Sequence[int] = 1,
) -> VarianceScaling:
    r"""Mean 0 and variance `scale / n`; n is fan_in, fan_out, or a mean of both.

    Axes that are neither in, out nor batch axes are the receptive field, which both fans contain.
    The truncated normal is truncated at two standard deviations and rescaled to the stated
    variance. For a complex dtype the values are complex and have this variance, except that the
    truncated normal without `groups`, `strides` and `input_dilation` is JAX's, whose variance
    E[|w|²] is 1.0187 times as large.

    Args:
      scale: variance times n, >= 0.
      mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
      distribution: "truncated_normal", "normal" or "uniform".
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes.
      batch_axis: axes that index independent copies of the layer.
      dtype: default dtype of the result.
      groups: `feature_group_count` of a convolution; each input is used by one group's outputs.
      strides: strides of a convolution, which divide fan_out by `prod(strides)`.
      input_dilation: strides of a transposed convolution, which divide fan_in by
        `prod(input_dilation)`.

    Raises:
      TypeError: if `scale` is not a number, or an axis, `groups` or a stride is not an integer.
      ValueError: if `mode` or `distribution` is unknown, `scale` is negative or not finite, or
        `groups` or a stride is below 1; when called, if an axis has two roles, or the shape does
        not have these axes.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010; He et al., "Delving deep into rectifiers", 2015, section 2.2.

    >>> import jax
    >>> w = variance_scaling(2.0, "fan_in", "normal")(jax.random.key(0), (400, 100))
    >>> bool(abs(w.var() * 400 - 2) < 0.1)
    True
    """
    return VarianceScaling(
        scale=check_non_negative("scale", scale),
        mode=check_choice("mode", mode, tuple(_DENOMINATORS)),
        distribution=check_choice("distribution", distribution, DISTRIBUTIONS),
        in_axis=check_axes("in_axis", in_axis),
        out_axis=check_axes("out_axis", out_axis),
        batch_axis=check_axes("batch_axis", batch_axis),
        groups=check_positive_integer("groups", groups),
        strides=check_strides("strides", strides),
        input_dilation=check_strides("input_dilation", input_dilation),
        dtype=dtype_name(dtype),
    )


def marginal_with_variance(distribution: DistributionName, variance: float) -> Marginal | None:
    """Return the distribution of a real entry with this variance, or None if it is zero."""
    std = math.sqrt(variance)
    if not std:
        return None
    if distribution == "uniform":
        return uniform_marginal(-math.sqrt(3) * std, math.sqrt(3) * std)
    if distribution == "normal":
        return normal_marginal(0.0, std)
    return truncated_normal_marginal(std / TRUNCATED_STD, -2.0, 2.0)


def draw_with_variance(
    distribution: DistributionName,
    variance: float,
    key: Array,
    shape: tuple[int, ...],
    dtype: np.dtype,
    complex_truncated_std: float = COMPLEX_TRUNCATED_STD,
) -> Array:
    """Draw independent entries with mean 0 and this variance.

    Args:
      distribution: their distribution.
      variance: variance of an entry, of its modulus for a complex dtype.
      key: one random key.
      shape: shape of the result.
      dtype: its dtype.
      complex_truncated_std: divisor of complex truncated normals, their standard deviation.
    """
    exact = np.asarray(variance, _draw_dtype(dtype))
    if dtype.kind == "c":
        return _draw_complex(distribution, exact, key, shape, dtype, complex_truncated_std)
    if distribution == "uniform":
        return draw_uniform(key, shape, dtype, -1, 1, scale=np.sqrt(3 * exact))
    if distribution == "normal":
        return draw_normal(key, shape, dtype, scale=np.sqrt(exact))
    scale = np.sqrt(exact) / np.asarray(TRUNCATED_STD, exact.dtype)
    return draw_truncated_normal(key, -2, 2, shape, dtype, scale=scale)


def _draw_complex(
    distribution: DistributionName,
    variance: np.ndarray,
    key: Array,
    shape: tuple[int, ...],
    dtype: np.dtype,
    truncated_std: float,
) -> Array:
    std = np.sqrt(variance)
    if distribution == "uniform":
        return draw_complex_disk(key, shape, dtype, scale=std)
    if distribution == "normal":
        return draw_normal(key, shape, dtype, scale=std)
    scale = std / np.asarray(truncated_std, variance.dtype)
    return draw_complex_truncated_normal(key, 2.0, shape, dtype, scale=scale)


def _draw_dtype(dtype: np.dtype) -> np.dtype:
    """Return the real dtype in which values of this dtype are drawn and scaled."""
    return np.dtype(np.float64 if dtype in (np.float64, np.complex128) else np.float32)
