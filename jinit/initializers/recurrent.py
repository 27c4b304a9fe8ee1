"""Biases of gated cells: how long a cell remembers before it has learned to.

A cell that keeps its gates in one fused bias of shape `(gates · hidden,)` names their order by one
letter each, such as "ifgo" for Flax's fused LSTM and PyTorch's, "rzn" for Flax's fused GRU.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.initializers.base import Initializer, dtype_name, finite
from jinit.sampling import float_stream, rounded, uniform


@dataclass(frozen=True, repr=False)
class ForgetGateBias(Initializer):
    """A constant on the forget gate, zero on the others."""

    name = "forget_gate_bias"
    value: float = 1.0
    gates: str = "ifgo"
    forget: str = "f"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The value in the forget gate's part of the last axis."""
        del key
        hidden = _hidden(self, shape)
        value = jnp.full((*shape[:-1], hidden), self.value, dtype)
        return _assembled(self.gates, {self.forget: value}, jnp.zeros_like(value))


@dataclass(frozen=True, repr=False)
class Chrono(Initializer):
    """Forget gates that remember for a log-uniform part of `max_steps`."""

    name = "chrono"
    leading = ("max_steps",)
    max_steps: float
    gates: str = "ifgo"
    forget: str = "f"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`log U(1, max_steps - 1)` on the forget gate, its negative on an input gate."""
        hidden, (stream, _) = _hidden(self, shape), float_stream(dtype, self.name)
        length = uniform(key, (*shape[:-1], hidden), stream, 1, self.max_steps - 1)
        bias = lax.log(length)
        parts = {"i": -bias, self.forget: bias}
        return rounded(_assembled(self.gates, parts, jnp.zeros_like(bias)), dtype)


@dataclass(frozen=True, repr=False)
class UniformGateBias(Initializer):
    """Forget gates that are uniformly distributed."""

    name = "uniform_gate_bias"
    gates: str = "ifgo"
    forget: str = "f"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The logit of a uniform draw on the forget gate."""
        hidden, (stream, _) = _hidden(self, shape), float_stream(dtype, self.name)
        edge = 1 / max(hidden, 2)
        gate = uniform(key, (*shape[:-1], hidden), stream, edge, 1 - edge)
        bias = lax.log(gate) - lax.log1p(-gate)
        parts = {self.forget: bias}
        return rounded(_assembled(self.gates, parts, jnp.zeros_like(bias)), dtype)


def forget_gate_bias(
    value: float = 1.0,
    gates: str = "ifgo",
    forget: str = "f",
    dtype: jax.typing.DTypeLike | None = None,
) -> ForgetGateBias:
    """`value` on the forget gate of a fused bias `(gates · hidden,)`, zero on the others.

    With 1 a fresh LSTM keeps `σ(1) = 73 %` of its cell from step to step instead of half.

    Args:
      value: bias of the forget gate, finite.
      gates: the gates in their order, a letter each. forget: the one that keeps the state.
      dtype: default dtype of the result.

    Raises:
      ValueError: a gate named twice, or `forget` not among them; when called, a last axis that
        does not divide into the gates.

    Reference: Gers, Schmidhuber, Cummins, "Learning to forget", 2000; Jozefowicz, Zaremba,
    Sutskever, "An empirical exploration of recurrent network architectures", 2015, section 2.2.

    >>> import jax
    >>> forget_gate_bias()(jax.random.key(0), (8,))
    Array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    """
    names = _gates(gates, forget)
    return ForgetGateBias(finite("value", value), *names, dtype=dtype_name(dtype))


def chrono(
    max_steps: float,
    gates: str = "ifgo",
    forget: str = "f",
    dtype: jax.typing.DTypeLike | None = None,
) -> Chrono:
    """Forget bias `log U(1, max_steps - 1)`; an input gate "i" gets its negative.

    A cell with forget gate σ(b) remembers for about `1 + exp(b)` steps: the memories of the units
    then cover all lengths up to `max_steps`.

    Args:
      max_steps: longest dependency expected, in steps, > 2.
      gates: the gates in their order, a letter each. forget: the one that keeps the state.
      dtype: default dtype of the result.

    Raises:
      ValueError: `max_steps <= 2`, a gate named twice, or `forget` not among them; when called, a
        last axis that does not divide into the gates.

    Reference: Tallec & Ollivier, "Can recurrent neural networks warp time?", 2018, equation 16.

    >>> import jax
    >>> b = chrono(100)(jax.random.key(0), (4 * 64,))
    >>> bool((b[64:128] <= 4.6).all() and (b[:64] == -b[64:128]).all() and (b[128:] == 0).all())
    True
    """
    if (steps := finite("max_steps", max_steps)) <= 2:
        raise ValueError(
            f"max_steps: expected more than 2 steps, got {max_steps!r}: memories are drawn "
            "between 1 and max_steps - 1"
        )
    return Chrono(steps, *_gates(gates, forget), dtype=dtype_name(dtype))


def uniform_gate_bias(
    gates: str = "ifgo", forget: str = "f", dtype: jax.typing.DTypeLike | None = None
) -> UniformGateBias:
    """Forget bias `log(u / (1 - u))`, u uniform on `(1/h, 1 - 1/h)` for h hidden units.

    The forget gates of a fresh cell are then themselves uniform: some units hold what they see,
    others let go at once. The other gates start at zero.

    Args:
      gates: the gates in their order, a letter each. forget: the one that keeps the state.
      dtype: default dtype of the result.

    Raises:
      ValueError: a gate named twice, or `forget` not among them; when called, a last axis that
        does not divide into the gates.

    Reference: Gu et al., "Improving the gating mechanism of recurrent neural networks", 2020,
    section 3.1.

    >>> import jax
    >>> b = uniform_gate_bias()(jax.random.key(0), (4 * 64,))
    >>> gate = jax.nn.sigmoid(b[64:128])
    >>> bool((gate > 1 / 65).all() and (gate < 64 / 65).all())
    True
    """
    return UniformGateBias(*_gates(gates, forget), dtype=dtype_name(dtype))


def _gates(gates: object, forget: object) -> tuple[str, str]:
    if not isinstance(gates, str) or not gates or len(set(gates)) != len(gates):
        raise ValueError(
            f"gates: expected one letter per gate, each once, such as 'ifgo', got {gates!r}"
        )
    if not isinstance(forget, str) or len(forget) != 1 or forget not in gates:
        raise ValueError(f"forget: expected one of the gates {gates!r}, got {forget!r}")
    return gates, forget


def _hidden(bias: ForgetGateBias | Chrono | UniformGateBias, shape: tuple[int, ...]) -> int:
    if not shape or shape[-1] % len(bias.gates):
        raise ValueError(
            f"{bias.name}: expected a fused bias whose last axis divides into the "
            f"{len(bias.gates)} gates {bias.gates!r}, got shape {shape}; for a cell with a bias "
            "per gate, use constant() on the forget gate's, or give gates='f'"
        )
    return shape[-1] // len(bias.gates)


def _assembled(gates: str, parts: dict[str, Array], rest: Array) -> Array:
    return jnp.concatenate([parts.get(gate, rest) for gate in gates], axis=-1)
