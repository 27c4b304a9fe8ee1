"""Variance scaled for the activation before a kernel: the gain is integrated, not looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax import Array

from jinit.initializers.base import Initializer, dtype_name
from jinit.initializers.choice import one_of
from jinit.initializers.fans import Axes, as_axes, fans
from jinit.initializers.variance import DISTRIBUTIONS, Distribution, drawn, law_of
from jinit.theory import ACTIVATIONS, Activation, Marginal, Moments, moments

Direction = Literal["forward", "backward", "average"]


_NAMES = {function: name for name, function in ACTIVATIONS.items()} | {jax.nn.tanh: "tanh"}


@dataclass(frozen=True, repr=False)
class ActivationScaled(Initializer):
    """Mean 0, and the variance that undoes what the activation before the kernel does."""

    name = "activation_scaled"
    spread = "1 / (E[φ²] fan_in)"
    leading = ("phi", "mode", "distribution")
    phi: str | Activation
    mode: Direction = "forward"
    distribution: Distribution = "truncated_normal"
    in_axis: Axes = -2
    out_axis: Axes = -1
    batch_axis: Axes = ()

    def moments(self) -> Moments:
        """Moments of the activation under a standard normal pre-activation."""
        return moments(ACTIVATIONS[self.phi] if isinstance(self.phi, str) else self.phi)

    def variance(self, shape: tuple[int, ...]) -> float:
        """Variance of an entry of a kernel of this shape; 0 for a shape without entries."""
        found = fans(shape, self.in_axis, self.out_axis, self.batch_axis)
        seen = self.moments()
        forward, backward = seen.second * found.fan_in, seen.slope2 * found.fan_out
        denominators = {
            "forward": forward,
            "backward": backward,
            "average": (forward + backward) / 2,
        }
        denominator = denominators[self.mode]
        return 1 / denominator if denominator else 0.0

    def variance_rule(self) -> str:
        """The moments of the activation, by the mode."""
        rules = {
            "forward": "1 / (E[φ²] fan_in)",
            "backward": "1 / (E[φ'²] fan_out)",
            "average": "2 / (E[φ²] fan_in + E[φ'²] fan_out)",
        }
        return rules[self.mode]

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """The chosen distribution with the variance of this shape."""
        return law_of(self.distribution, self.variance(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Entries of the chosen distribution with the variance of this shape."""
        return drawn(self.distribution, self.variance(shape), key, shape, dtype)


def activation_scaled(
    phi: str | Activation,
    mode: Direction = "forward",
    distribution: Distribution = "truncated_normal",
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
    dtype: jax.typing.DTypeLike | None = None,
) -> ActivationScaled:
    r"""The variance that keeps a signal through any activation φ and the kernel after it.

    `1 / (E[φ(z)²] n_in)` forward, `1 / (E[φ'(z)²] n_out)` backward, and on average
    `2 / (E[φ²] n_in + E[φ'²] n_out)`, z standard normal: `he_normal` for relu, `xavier_normal` on
    average for the identity. Means are integrated to eleven digits, once per activation.

    Args:
      phi: activation before the kernel: a name such as "gelu", or a JAX function of one scalar; of
        two for a gated unit, such as `lambda a, b: a * jax.nn.silu(b)`, its fan_in then counting
        the products.
      mode: "forward" keeps the second moment of the signal, "backward" that of the gradient.
      distribution: "truncated_normal", "normal" or "uniform".
      in_axis, out_axis, batch_axis: as in `variance_scaling`. dtype: default dtype of the result.

    Raises:
      ValueError: an unknown name, mode or distribution; an activation that is zero, not finite or
        grows too fast; a constant one with "backward". TypeError: `phi` is no scalar function.

    Reference: He et al., "Delving deep into rectifiers", 2015, section 2.2; Bingham &
    Miikkulainen, "AutoInit: analytic signal-preserving weight initialization for neural
    networks", 2023, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w, he = (
    ...     i(jax.random.key(0), (64, 64)) for i in (activation_scaled("relu"), jinit.he_normal())
    ... )
    >>> bool(jnp.allclose(w, he))
    True
    >>> x = jax.nn.gelu(jax.random.normal(jax.random.key(1), (100, 1024)))
    >>> bool(
    ...     abs((x @ activation_scaled(jax.nn.gelu)(jax.random.key(2), (1024, 1024))).std() - 1)
    ...     < 0.05
    ... )
    True
    """
    made = ActivationScaled(
        _activation(phi),
        one_of("mode", mode, ("forward", "backward", "average")),
        one_of("distribution", distribution, DISTRIBUTIONS),
        as_axes("in_axis", in_axis),
        as_axes("out_axis", out_axis),
        as_axes("batch_axis", batch_axis),
        dtype=dtype_name(dtype),
    )
    if callable(made.phi):
        _check(made)
    return made


def _activation(phi: Any) -> str | Activation:
    """The name of a known activation, else the function itself."""
    if isinstance(phi, str):
        return one_of("activation", phi, ACTIVATIONS)
    if not callable(phi):
        raise TypeError(
            f"phi: expected an activation, such as jax.nn.gelu or its name, got {phi!r}"
        )
    return _NAMES.get(phi, phi)


def _check(made: ActivationScaled) -> None:
    if made.moments().slope2 == 0 and made.mode == "backward":
        raise ValueError(
            f"phi: the slope of {made.phi!r} is zero almost everywhere, so that no gradient passes "
            'it; use mode="forward"'
        )
