"""Draws whose variance is chosen from the fans, so that a layer keeps the size of its signal."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax import Array

from jinit.initializers.base import Initializer, dtype_name, non_negative
from jinit.initializers.choice import one_of
from jinit.initializers.fans import Axes, Fans, as_axes, fans
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
_DISTRIBUTIONS: tuple[Distribution, ...] = ("truncated_normal", "normal", "uniform")
# Standard deviation of a standard normal truncated to (-2, 2): sqrt(1 - 4 phi(2)/(2 Phi(2) - 1)).
_TRUNCATED_STD = 0.87962566103423978
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

    def variance(self, shape: tuple[int, ...]) -> float:
        """Variance of an entry of a kernel of this shape; 0 for a shape without entries."""
        kernel_fans = fans(shape, self.in_axis, self.out_axis, self.batch_axis)
        denominator = _DENOMINATORS[self.mode](kernel_fans)
        return self.scale / denominator if denominator else 0.0

    def variance_rule(self) -> str:
        """The scale over the fan of the mode."""
        return f"{self.scale:g} / {self.mode}"

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """The chosen distribution with the variance of this shape."""
        std = math.sqrt(self.variance(shape))
        if not std:
            return None
        if self.distribution == "uniform":
            return uniform_law(-math.sqrt(3) * std, math.sqrt(3) * std)
        if self.distribution == "normal":
            return normal_law(0.0, std)
        return truncated_normal_law(std / _TRUNCATED_STD, -2.0, 2.0)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Entries of the chosen distribution with the variance of this shape."""
        variance = np.asarray(self.variance(shape), _stream(dtype))
        if dtype.kind == "c":
            return self._draw_complex(key, shape, dtype, variance)
        if self.distribution == "uniform":
            return uniform(key, shape, dtype, -1, 1, scale=np.sqrt(3 * variance))
        if self.distribution == "normal":
            return normal(key, shape, dtype, scale=np.sqrt(variance))
        scale = np.sqrt(variance) / np.asarray(_TRUNCATED_STD, variance.dtype)
        return truncated_normal(key, -2, 2, shape, dtype, scale=scale)

    def _draw_complex(
        self, key: Array, shape: tuple[int, ...], dtype: np.dtype, variance: np.ndarray
    ) -> Array:
        std = np.sqrt(variance)
        if self.distribution == "uniform":
            return complex_disk(key, shape, dtype, scale=std)
        if self.distribution == "normal":
            return normal(key, shape, dtype, scale=std)
        scale = std / np.asarray(_TRUNCATED_STD_COMPLEX, variance.dtype)
        return complex_truncated_normal(key, 2.0, shape, dtype, scale=scale)

    def to_spec(self) -> dict[str, Any]:
        """Plain data, under the published name of the member where it has one."""
        spec = super().to_spec()
        name = _NAMES.get((self.scale, self.mode, self.distribution))
        if name is None:
            return spec
        return {"name": name} | {
            option: value
            for option, value in spec.items()
            if option not in ("name", "scale", "mode", "distribution")
        }


def variance_scaling(
    scale: float,
    mode: Mode,
    distribution: Distribution,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
    dtype: jax.typing.DTypeLike | None = None,
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
        one_of("distribution", distribution, _DISTRIBUTIONS),
        as_axes("in_axis", in_axis),
        as_axes("out_axis", out_axis),
        as_axes("batch_axis", batch_axis),
        dtype=dtype_name(dtype),
    )


def _stream(dtype: np.dtype) -> np.dtype:
    """The real dtype in which a draw of this dtype is made and scaled."""
    return np.dtype(np.float64 if dtype in (np.float64, np.complex128) else np.float32)
