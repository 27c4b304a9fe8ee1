"""Activations taken apart: constants before and after, normalizations, and the name of the rest."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jinit.model.activation import (
    Activation,
    ActivationParts,
    Operand,
    ScalarOperation,
    list_primitives,
)
from jinit.model.activation_edits import (
    arguments_of,
    constant_factor,
    cut_steps,
    drop_steps,
    last_factor,
    only_user,
)
from jinit.model.activation_names import activation_names

_FUNCTIONS: dict[str, Callable[..., jax.Array]] = {
    function.__name__: function
    for function in (
        jax.nn.relu,
        jax.nn.relu6,
        jax.nn.leaky_relu,
        jax.nn.elu,
        jax.nn.selu,
        jax.nn.gelu,
        jax.nn.silu,
        jax.nn.mish,
        jax.nn.sigmoid,
        jax.nn.log_sigmoid,
        jax.nn.hard_sigmoid,
        jax.nn.hard_silu,
        jax.nn.hard_tanh,
        jax.nn.softplus,
        jax.nn.soft_sign,
        jax.nn.squareplus,
        jnp.tanh,
        jnp.sin,
        jnp.cos,
        jnp.square,
        lax.erf,
    )
}
_FUNCTIONS |= {
    "gelu_exact": lambda x: jax.nn.gelu(x, approximate=False),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "squared relu": lambda x: jnp.square(jax.nn.relu(x)),
    "bilinear": lambda x, gate: x * gate,
    "glu": lambda x, gate: x * jax.nn.sigmoid(gate),
    "reglu": lambda x, gate: x * jax.nn.relu(gate),
    "geglu": lambda x, gate: x * jax.nn.gelu(gate),
    "swiglu": lambda x, gate: x * jax.nn.silu(gate),
}
"""Functions that are named in descriptions. Constants inside of them are not scales."""


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Return the name of every function of `_FUNCTIONS` by the text of its operations."""
    return activation_names(_FUNCTIONS)


@lru_cache(maxsize=256)
def take_apart(activation: Activation) -> ActivationParts:
    """Return an activation with the constants before and after it apart, and a description.

    A constant after a function that has a name, or after a product of two functions of one
    argument, such as in `0.5 * x * (1 + tanh(x))`, is a part of that function.

    Args:
      activation: the activation.
    """
    if _known_name(activation):
        return ActivationParts(_known_name(activation))
    inner, scales = _strip_inputs(activation)
    inner, output_scale = _strip_output(inner)
    description = _describe(inner)
    if scales[0] != 1:
        first = f"{scales[0]:.4g} x"
        description = first if inner.is_identity else f"{first}, then {description}"
    if output_scale != 1:
        description += f", times {output_scale:.4g}"
    is_whole = output_scale == 1 and set(scales) == {1.0}
    return ActivationParts(
        description, scales[0], output_scale, None if is_whole else replace(inner)
    )


def _known_name(activation: Activation) -> str:
    if activation.is_identity:
        return "identity"
    return _names().get(activation.text, "")


def _strip_inputs(activation: Activation) -> tuple[Activation, list[float]]:
    """Return the activation without constants on its arguments, and the constant on each.

    Only the size of a constant is stripped; its sign stays.
    """
    scales = []
    for argument in range(activation.argument_count):
        scale, sign, last, dropped = 1.0, 1.0, argument, set[int]()
        while (position := only_user(activation, last)) is not None:
            factor = constant_factor(activation.scalar_operations[position])
            if factor is None:
                break
            scale, sign = scale * abs(factor.constant), sign * (-1 if factor.constant < 0 else 1)
            dropped.add(position)
            last = activation.argument_count + position
        scales.append(scale)
        is_negative = sign < 0 and last != activation.result
        kept = {min(dropped)} if is_negative else set()
        activation = drop_steps(activation, dropped, argument, kept)
    return activation, scales


def _strip_output(activation: Activation) -> tuple[Activation, float]:
    """Return the activation without the constants after it, and their product."""
    inner, scale = activation, 1.0
    while not _known_name(inner):
        factor, gate = last_factor(inner), _gate_factor(inner)
        if factor is None and gate is not None:
            inner = drop_steps(inner, {gate.position}, gate.value, set())
            scale *= gate.constant
            continue
        if factor is None:
            is_part = _ends_in_own_product(inner) or _last_sum(inner) is not None
            return (activation, 1.0) if is_part else (inner, scale)
        inner = cut_steps(inner, 0, factor.value)
        scale *= abs(factor.constant)
    return inner, scale


class _GateFactor(NamedTuple):
    """A positive constant on one of the two functions whose product a gated unit is."""

    position: int
    value: Operand
    constant: float


def _gate_factor(activation: Activation) -> _GateFactor | None:
    """Return a constant in front of the last product of a gated unit; None if there is none."""
    if activation.argument_count < 2 or _ends_in_own_product(activation):
        return None
    last = activation.scalar_operations[-1]
    for operand in last.operands if str(last.primitive) == "mul" else ():
        position = int(operand) - activation.argument_count
        if position < 0 or only_user(activation, int(operand)) is None:
            continue
        factor = constant_factor(activation.scalar_operations[position])
        if factor is not None and factor.constant > 0:
            return _GateFactor(position, factor.value, factor.constant)
    return None


def _last_sum(activation: Activation) -> ScalarOperation | None:
    """Return the sum that an activation is the result of; None if it is not a sum."""
    if isinstance(activation.result, float) or activation.result < activation.argument_count:
        return None
    step = activation.scalar_operations[activation.result - activation.argument_count]
    return step if step.sum_size else None


def _ends_in_own_product(activation: Activation) -> bool:
    """Return whether the last operation multiplies two functions of the same argument."""
    if isinstance(activation.result, float) or activation.result < activation.argument_count:
        return False
    step = activation.scalar_operations[activation.result - activation.argument_count]
    if str(step.primitive) not in ("mul", "div") or any(
        isinstance(v, float) for v in step.operands
    ):
        return False
    left, right = (arguments_of(activation, operand) for operand in step.operands)
    return bool(left & right)


def _describe(activation: Activation) -> str:
    """Return the name of a function, or of the normalization and the function it consists of."""
    name = _known_name(activation)
    first = None if name else _end_of_normalization(activation)
    if first is None:
        return name or list_primitives(activation).description
    pooled = _pooled(activation)
    if pooled is not None:
        inner = take_apart(pooled).description
        return "mean" if inner == "identity" else f"{inner}, then mean"
    normalization = _normalization_name(activation.scalar_operations[:first])
    rest = take_apart(cut_steps(activation, first, activation.result)).description
    return normalization if rest == "identity" else f"{normalization}, then {rest}"


def _pooled(activation: Activation) -> Activation | None:
    """Return the function that an activation is the mean or sum of; None if it is neither."""
    while (factor := last_factor(activation)) is not None:
        activation = cut_steps(activation, 0, factor.value)
    last = _last_sum(activation)
    return last and cut_steps(activation, 0, last.operands[0])


def _end_of_normalization(activation: Activation) -> int | None:
    """Return the position after a normalization; None if there is none.

    All that follows depends on the result of the operation before this position alone.
    """
    steps, count = activation.scalar_operations, activation.argument_count
    sums = [position for position, step in enumerate(steps) if step.sum_size]
    if not sums or count > 1:
        return None
    for first in range(sums[-1] + 1, len(steps) + 1):
        later = [value for step in steps[first:] for value in step.operands]
        values = [value for value in (*later, activation.result) if isinstance(value, int)]
        if min(values) >= count + first - 1:
            return first
    return None


def _normalization_name(steps: Sequence[ScalarOperation]) -> str:
    sums = [step for step in steps if step.sum_size]
    if any(str(step.primitive) == "exp" for step in steps):
        return "softmax"
    if any(step.sum_over == "batch" for step in sums):
        return "BatchNorm"
    literals = [value for step in steps for value in step.operands if isinstance(value, float)]
    if not any(_is_mean(value, step.sum_size) for value in literals for step in sums):
        return "L2 normalization"
    if any(step.sum_over == "group" for step in sums):
        return "GroupNorm"
    return "LayerNorm" if len(sums) > 1 else "RMSNorm"


def _is_mean(literal: float, size: float) -> bool:
    """Return whether a literal turns a sum of this size into a mean."""
    return abs(literal - size) < 1e-6 * size or abs(literal * size - 1) < 1e-6
