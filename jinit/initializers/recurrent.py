"""Biases of gated cells, which set their initial memory time scale.

If a cell has one fused bias of shape `(gates · hidden,)`, the option `gates` states their order by
one letter each, such as "ifgo" for the fused LSTM of Flax and PyTorch, "rzn" for Flax's fused GRU.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.initializers.base import Initializer, check_finite, dtype_name
from jinit.sampling import draw_uniform, round_to_dtype, sampling_dtypes


@dataclass(frozen=True, repr=False)
class ForgetGateBias(Initializer):
    """Constant bias of the forget gate, zero for the other gates."""

    name = "forget_gate_bias"
    value: float = 1.0
    gates: str = "ifgo"
    forget: str = "f"

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the absolute value of `value`."""
        del shape
        return abs(self.value)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return the value on the forget gate's section of the last axis, zero elsewhere."""
        del key
        hidden = _hidden_size(self, shape)
        value = jnp.full((*shape[:-1], hidden), self.value, dtype)
        return _join_gates(self.gates, {self.forget: value}, jnp.zeros_like(value))


@dataclass(frozen=True, repr=False)
class Chrono(Initializer):
    """Bias of forget gates with memories from 1 to `max_steps` steps."""

    name = "chrono"
    positional = ("max_steps",)
    max_steps: float
    gates: str = "ifgo"
    forget: str = "f"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `log U(1, max_steps - 1)` for the forget gate and its negative for an input gate."""
        hidden, (draw_dtype, _) = _hidden_size(self, shape), sampling_dtypes(dtype, self.name)
        steps = draw_uniform(key, (*shape[:-1], hidden), draw_dtype, 1, self.max_steps - 1)
        bias = lax.log(steps)
        values = {"i": -bias, self.forget: bias}
        return round_to_dtype(_join_gates(self.gates, values, jnp.zeros_like(bias)), dtype)


@dataclass(frozen=True, repr=False)
class UniformGateBias(Initializer):
    """Bias of forget gates that are uniformly distributed."""

    name = "uniform_gate_bias"
    gates: str = "ifgo"
    forget: str = "f"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw the logit of a uniform variable for the forget gate, zero for the other gates."""
        hidden, (draw_dtype, _) = _hidden_size(self, shape), sampling_dtypes(dtype, self.name)
        bound = 1 / max(hidden, 2)
        gate = draw_uniform(key, (*shape[:-1], hidden), draw_dtype, bound, 1 - bound)
        bias = lax.log(gate) - lax.log1p(-gate)
        values = {self.forget: bias}
        return round_to_dtype(_join_gates(self.gates, values, jnp.zeros_like(bias)), dtype)


def forget_gate_bias(
    value: float = 1.0,
    gates: str = "ifgo",
    forget: str = "f",
    dtype: DTypeLike | None = None,
) -> ForgetGateBias:
    """`value` for the forget gate of a fused bias `(gates · hidden,)`, zero for the other gates.

    With the value 1 an untrained LSTM keeps `σ(1) = 73 %` of its cell state per step, with 0 half.

    Args:
      value: bias of the forget gate, finite.
      gates: the gates in their order, one letter each.
      forget: letter of the gate that keeps the state.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `value` is not a number.
      ValueError: if `value` is not finite, a gate is named twice, or `forget` is not one of the
        gates; when called, if the last axis does not divide into the gates.

    Reference: Gers, Schmidhuber, Cummins, "Learning to forget", 2000; Jozefowicz, Zaremba,
    Sutskever, "An empirical exploration of recurrent network architectures", 2015, section 2.2.

    >>> import jax
    >>> forget_gate_bias()(jax.random.key(0), (8,))
    Array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    """
    names = _check_gates(gates, forget)
    return ForgetGateBias(check_finite("value", value), *names, dtype=dtype_name(dtype))


def chrono(
    max_steps: float,
    gates: str = "ifgo",
    forget: str = "f",
    dtype: DTypeLike | None = None,
) -> Chrono:
    """Forget bias `log U(1, max_steps - 1)`; the bias of an input gate "i" is its negative.

    A cell with forget gate σ(b) has a memory of about `1 + exp(b)` steps. The memories of the units
    are then uniform on `(2, max_steps)`.

    Args:
      max_steps: longest expected dependency, in steps, > 2.
      gates: the gates in their order, one letter each.
      forget: letter of the gate that keeps the state.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `max_steps` is not a number.
      ValueError: if `max_steps` is not finite and above 2, a gate is named twice, or `forget` is
        not one of the gates; when called, if the last axis does not divide into the gates.

    Reference: Tallec & Ollivier, "Can recurrent neural networks warp time?", 2018, equation 16.

    >>> import jax
    >>> b = chrono(100)(jax.random.key(0), (4 * 64,))
    >>> bool((b[64:128] <= 4.6).all() and (b[:64] == -b[64:128]).all() and (b[128:] == 0).all())
    True
    """
    if (steps := check_finite("max_steps", max_steps)) <= 2:
        raise ValueError(
            f"max_steps: expected more than 2 steps, got {max_steps!r}: memories are drawn "
            "from 1 to max_steps - 1 steps"
        )
    return Chrono(steps, *_check_gates(gates, forget), dtype=dtype_name(dtype))


def uniform_gate_bias(
    gates: str = "ifgo", forget: str = "f", dtype: DTypeLike | None = None
) -> UniformGateBias:
    """Forget bias `log(u / (1 - u))`, u uniform on `(1/h, 1 - 1/h)` for h hidden units.

    The forget gates of an untrained cell are then uniform on the same interval: some units have a
    long memory, others a short one. The bias of the other gates is zero.

    Args:
      gates: the gates in their order, one letter each.
      forget: letter of the gate that keeps the state.
      dtype: default dtype of the result.

    Raises:
      ValueError: if a gate is named twice, or `forget` is not one of the gates; when called, if the
        last axis does not divide into the gates.

    Reference: Gu et al., "Improving the gating mechanism of recurrent neural networks", 2020,
    section 3.1.

    >>> import jax
    >>> b = uniform_gate_bias()(jax.random.key(0), (4 * 64,))
    >>> gate = jax.nn.sigmoid(b[64:128])
    >>> bool((gate > 1 / 65).all() and (gate < 64 / 65).all())
    True
    """
    return UniformGateBias(*_check_gates(gates, forget), dtype=dtype_name(dtype))


def _check_gates(gates: object, forget: object) -> tuple[str, str]:
    if not isinstance(gates, str) or not gates or len(set(gates)) != len(gates):
        raise ValueError(
            f"gates: expected one different letter per gate, such as 'ifgo', got {gates!r}"
        )
    if not isinstance(forget, str) or len(forget) != 1 or forget not in gates:
        raise ValueError(f"forget: expected one of the gates {gates!r}, got {forget!r}")
    return gates, forget


def _hidden_size(bias: ForgetGateBias | Chrono | UniformGateBias, shape: tuple[int, ...]) -> int:
    if not shape or shape[-1] % len(bias.gates):
        raise ValueError(
            f"{bias.name}: expected a fused bias whose last axis divides into the "
            f"{len(bias.gates)} gates {bias.gates!r}, got shape {shape}; for a cell with one bias "
            "per gate use gates='f' for the bias of its forget gate"
        )
    return shape[-1] // len(bias.gates)


def _join_gates(gates: str, values: dict[str, Array], default: Array) -> Array:
    return jnp.concatenate([values.get(gate, default) for gate in gates], axis=-1)
