"""Draws whose variance is chosen from the fans, so that a layer keeps the size of its signal."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax import Array

from jinit.initializers.base import Initializer, dtype_name, non_negative, positive_integer
from jinit.initializers.choice import one_of
from jinit.initializers.fans import Axes, Fans, Steps, as_axes, as_steps, fans
from jinit.sampling import complex_disk, complex_truncated_normal, normal, truncated_normal, uniform
from jinit.theory import Marginal, normal_law, truncated_normal_law, uniform_law

Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Distribution = Literal["truncated_normal", "normal", "uniform"]

_DENOMINATORS: dict[Mode, Callable[[Fans], float]] = {
    "fan_in": lambda f: f.fan_in,
    "fan_out": lambda f: f.fan_out,
    "fan_avg": lambda f: (f.fan_in + f.fan_out) / 2,
    "fan_geo_avg": lambda f: math.sqrt(f.fan_in * f.fan_out),
}
DISTRIBUTIONS: tuple[Distribution, ...] = ("truncated_normal", "normal", "uniform")
# Standard deviation of a standard normal truncated to (-2, 2): sqrt(1 - 4 phi(2)/(2 Phi(2) - 1)).
TRUNCATED_STD = 0.87962566103423978
# The same for the standard complex normal with modulus below 2: sqrt(1 - 4/(e⁴ - 1)).
_TRUNCATED_STD_COMPLEX = 0.95311164380491208

# Published members of the family, which print under their own names (jinit.initializers.published).
_NAMES = {
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
    """Mean 0, variance `scale / n`, n chosen by `mode` from the fans."""

    name = "variance_scaling"
    spread = "scale / n"
    scale: float
    mode: Mode
    distribution: Distribution
    in_axis: Axes = -2
    out_axis: Axes = -1
    batch_axis: Axes = ()
    groups: int = 1
    strides: Steps = 1
    input_dilation: Steps = 1

    def fans(self, shape: tuple[int, ...]) -> Fans:
        """Fans of a kernel of this shape."""
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
        """Variance of an entry of a kernel of this shape; 0 for a shape without entries."""
        denominator = _DENOMINATORS[self.mode](self.fans(shape))
        return self.scale / denominator if denominator else 0.0

    def variance_rule(self) -> str:
        """The scale over the fan of the mode."""
        return f"{self.scale:g} / {self.mode}"

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """The chosen distribution with the variance of this shape."""
        return law_of(self.distribution, self.variance(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Entries of the chosen distribution with the variance of this shape."""
        return drawn(self.distribution, self.variance(shape), key, shape, dtype)

    def published(self) -> tuple[str, dict[str, Any]]:
        """The published name of the member, where it has one, and its options."""
        name, options = super().published()
        member = _NAMES.get((self.scale, self.mode, self.distribution))
        if member is None or options.keys() & {"groups", "strides", "input_dilation"}:
            return name, options
        own = ("scale", "mode", "distribution")
        return member, {option: value for option, value in options.items() if option not in own}


def variance_scaling(
    scale: float,
    mode: Mode,
    distribution: Distribution,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
    dtype: jax.typing.DTypeLike | None = None,
    *,
    groups: int = 1,
    strides: int | Sequence[int] = 1,
    input_dilation: int | Sequence[int] = 1,
) -> VarianceScaling:
    r"""Mean 0 and variance `scale / n`; n is fan_in, fan_out, or their (geometric) average.

    Axes that are neither in, out nor batch axes count as the receptive field of both fans. The
    truncated normal is cut at two standard deviations and corrected to have the stated variance.
    A complex dtype gives complex values with that variance.

    Args:
      scale: variance times n, >= 0.
      mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
      distribution: "truncated_normal", "normal" or "uniform".
      in_axis, out_axis, batch_axis: axes of the kernel that are inputs, outputs, or independent
        copies of the layer. dtype: default dtype of the result.
      groups: of a convolution with `feature_group_count`: an input feeds one group's outputs only.
      strides: of a convolution: an input feeds `prod(strides)` times fewer outputs.
      input_dilation: the strides of a transposed one: an output sums so many times fewer inputs.

    Raises:
      ValueError: an unknown mode or distribution, a negative scale, one axis in two roles; when
        called, a shape that does not have these axes.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010; He et al., "Delving deep into rectifiers", 2015, section 2.2.

    >>> import jax
    >>> w = variance_scaling(2.0, "fan_in", "normal")(jax.random.key(0), (400, 100))
    >>> bool(abs(w.var() * 400 - 2) < 0.1)
    True
    """
    return VarianceScaling(
        non_negative("scale", scale),
        one_of("mode", mode, tuple(_DENOMINATORS)),
        one_of("distribution", distribution, DISTRIBUTIONS),
        as_axes("in_axis", in_axis),
        as_axes("out_axis", out_axis),
        as_axes("batch_axis", batch_axis),
        positive_integer("groups", groups),
        as_steps("strides", strides),
        as_steps("input_dilation", input_dilation),
        dtype=dtype_name(dtype),
    )


def law_of(distribution: Distribution, variance: float) -> Marginal | None:
    """The law of an entry of a real draw; none where there is no variance."""
    std = math.sqrt(variance)
    if not std:
        return None
    if distribution == "uniform":
        return uniform_law(-math.sqrt(3) * std, math.sqrt(3) * std)
    if distribution == "normal":
        return normal_law(0.0, std)
    return truncated_normal_law(std / TRUNCATED_STD, -2.0, 2.0)


def drawn(
    distribution: Distribution,
    variance: float,
    key: Array,
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> Array:
    """Independent entries of mean 0 and this variance."""
    exact = np.asarray(variance, _stream(dtype))
    if dtype.kind == "c":
        return _complex_drawn(distribution, exact, key, shape, dtype)
    if distribution == "uniform":
        return uniform(key, shape, dtype, -1, 1, scale=np.sqrt(3 * exact))
    if distribution == "normal":
        return normal(key, shape, dtype, scale=np.sqrt(exact))
    scale = np.sqrt(exact) / np.asarray(TRUNCATED_STD, exact.dtype)
    return truncated_normal(key, -2, 2, shape, dtype, scale=scale)


def _complex_drawn(
    distribution: Distribution,
    variance: np.ndarray,
    key: Array,
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> Array:
    std = np.sqrt(variance)
    if distribution == "uniform":
        return complex_disk(key, shape, dtype, scale=std)
    if distribution == "normal":
        return normal(key, shape, dtype, scale=std)
    scale = std / np.asarray(_TRUNCATED_STD_COMPLEX, variance.dtype)
    return complex_truncated_normal(key, 2.0, shape, dtype, scale=scale)


def _stream(dtype: np.dtype) -> np.dtype:
    """The real dtype in which a draw of this dtype is made and scaled."""
    return np.dtype(np.float64 if dtype in (np.float64, np.complex128) else np.float32)
