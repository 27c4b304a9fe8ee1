"""Variance scaling for any activation before the kernel; its gain is computed by integration."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax import Array

from jinit.choice import check_choice
from jinit.initializers.base import DTypeOption, Initializer, dtype_name
from jinit.initializers.fans import AxesLike, AxisIndices, check_axes, fans
from jinit.initializers.marginals import Marginal
from jinit.initializers.variance import (
    DISTRIBUTIONS,
    DistributionName,
    draw_with_variance,
    marginal_with_variance,
)
from jinit.theory import ACTIVATIONS, ActivationFunction, Moments, moments

PassMode = Literal["forward", "backward", "average"]
"""Pass that keeps its second moment: forward, backward, or both on average."""

_ACTIVATION_NAMES = {function: name for name, function in ACTIVATIONS.items()} | {
    jax.nn.tanh: "tanh"
}


@dataclass(frozen=True, repr=False)
class ActivationScaled(Initializer):
    """Mean 0, and the variance that compensates the activation before the kernel."""

    name = "activation_scaled"
    variance_formula = "1 / (E[φ²] fan_in)"
    positional = ("phi", "mode", "distribution")
    phi: str | ActivationFunction
    mode: PassMode = "forward"
    distribution: DistributionName = "truncated_normal"
    in_axis: AxisIndices = -2
    out_axis: AxisIndices = -1
    batch_axis: AxisIndices = ()

    def moments(self) -> Moments:
        """Return the moments of the activation of a standard normal pre-activation."""
        return moments(ACTIVATIONS[self.phi] if isinstance(self.phi, str) else self.phi)

    def variance(self, shape: tuple[int, ...]) -> float:
        """Return the variance of an entry of a kernel of this shape, 0 if it has no entries."""
        kernel_fans = fans(shape, self.in_axis, self.out_axis, self.batch_axis)
        activation = self.moments()
        forward = activation.second * kernel_fans.fan_in
        backward = activation.slope2 * kernel_fans.fan_out
        denominators = {
            "forward": forward,
            "backward": backward,
            "average": (forward + backward) / 2,
        }
        denominator = denominators[self.mode]
        return 1 / denominator if denominator else 0.0

    def variance_with_options(self) -> str:
        """Return the variance formula of the mode."""
        formulas = {
            "forward": "1 / (E[φ²] fan_in)",
            "backward": "1 / (E[φ'²] fan_out)",
            "average": "2 / (E[φ²] fan_in + E[φ'²] fan_out)",
        }
        return formulas[self.mode]

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the chosen distribution with the variance of this shape."""
        return marginal_with_variance(self.distribution, self.variance(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw entries of the chosen distribution with the variance of this shape."""
        return draw_with_variance(self.distribution, self.variance(shape), key, shape, dtype)


def activation_scaled(
    phi: str | ActivationFunction,
    mode: PassMode = "forward",
    distribution: DistributionName = "truncated_normal",
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    dtype: DTypeOption = None,
) -> ActivationScaled:
    r"""Return an initializer that keeps the signal through an activation φ and the kernel after it.

    With z standard normal, the variance is `1 / (E[φ(z)²] n_in)` forward,
    `1 / (E[φ'(z)²] n_out)` backward, and `2 / (E[φ²] n_in + E[φ'²] n_out)` on average. This equals
    `he_normal` for relu forward, and `xavier_normal` for the identity on average. The means are
    integrated to eleven digits, once per activation.

    Args:
      phi: activation before the kernel: a name such as "gelu", or a JAX function of one scalar. A
        gated unit is a function of two, such as `lambda a, b: a * jax.nn.silu(b)`; fan_in then
        counts the gated products.
      mode: "forward" keeps the second moment of the signal, "backward" that of the gradient, and
        "average" is a compromise.
      distribution: "truncated_normal", "normal" or "uniform".
      in_axis: input axes of the kernel.
      out_axis: output axes.
      batch_axis: axes of independent copies of the layer.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `phi` is not a function of scalars, or an axis is not an integer.
      ValueError: if a name, a mode or a distribution is unknown; if the activation is zero, is not
        finite or grows too fast; if it is constant and the mode is "backward"; when called, if the
        shape does not have these axes.

    Reference: He et al., "Delving deep into rectifiers", 2015, section 2.2; Bingham &
    Miikkulainen, "AutoInit: analytic signal-preserving weight initialization for neural
    networks", 2023, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> key, shape = jax.random.key(0), (64, 64)
    >>> bool(jnp.allclose(activation_scaled("relu")(key, shape), jinit.he_normal()(key, shape)))
    True
    >>> x = jax.nn.gelu(jax.random.normal(jax.random.key(1), (100, 1024)))
    >>> w = activation_scaled(jax.nn.gelu)(jax.random.key(2), (1024, 1024))
    >>> bool(abs((x @ w).std() - 1) < 0.05)
    True
    """
    initializer = ActivationScaled(
        phi=_check_activation(phi),
        mode=check_choice("mode", mode, ("forward", "backward", "average")),
        distribution=check_choice("distribution", distribution, DISTRIBUTIONS),
        in_axis=check_axes("in_axis", in_axis),
        out_axis=check_axes("out_axis", out_axis),
        batch_axis=check_axes("batch_axis", batch_axis),
        dtype=dtype_name(dtype),
    )
    if callable(initializer.phi):
        _check_slope(initializer)
    return initializer


def _check_activation(phi: Any) -> str | ActivationFunction:
    """Return the name of a known activation, else the function."""
    if isinstance(phi, str):
        return check_choice("activation", phi, ACTIVATIONS)
    if not callable(phi):
        raise TypeError(
            f"phi: expected an activation, such as jax.nn.gelu or its name, got {phi!r}"
        )
    return _ACTIVATION_NAMES.get(phi, phi)


def _check_slope(initializer: ActivationScaled) -> None:
    if initializer.moments().slope2 == 0 and initializer.mode == "backward":
        raise ValueError(
            f"phi: the slope of {initializer.phi!r} is zero almost everywhere, so no gradient "
            'passes through it; use mode="forward"'
        )
