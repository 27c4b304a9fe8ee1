"""Recommend the initializer that each parameter needs, compared with its current scale."""

import math
from collections.abc import Mapping
from typing import Any

import jax

from jinit.gains import (
    Criterion,
    NeededScale,
    activation_name,
    misfit_cause,
    needed,
    needed_gate_bias,
    read_numbers,
    scales_by_path,
)
from jinit.initializers import (
    Initializer,
    activation_scaled,
    constant,
    he_normal,
    lecun_normal,
    normal,
    ones,
    variance_scaling,
    zeros,
)
from jinit.model import Leaf, Model, axes_hint, check_model
from jinit.programs.fast_init import fast_init
from jinit.rules.fitting import fit_initializer
from jinit.rules.match import RuleError
from jinit.rules.plan import CurrentScale, Plan
from jinit.rules.recurrent_choices import (
    gate_bias_initializer,
    has_zeros,
    is_identity,
    is_orthogonal,
    recurrent_initializer,
)

_NAMED_VARIANCES = {1.0: lecun_normal(), 2.0: he_normal()}
_ROLE_DEFAULTS = {"scale": ones, "position": normal(0.02), "token": normal(0.02)}
"""Defaults for non-kernel parameters of models without initializers; everything else is zero."""


def recommend(model: Model, *, criterion: Criterion | None = None) -> Plan:
    r"""Return a plan chosen from how the computation uses each parameter.

    A kernel gets the variance that its place needs, with its true fan-in:

    - in a chain of layers the critical one, at which neither signal nor gradient grows or decays
      (2 / fan_in for relu, 1 / fan_in for tanh), for as many layers as the chain has. A deep chain
      of gelu or silu begins with a small kernel; biases get a variance where the activation needs
      it. What the plan counts on, and activations without a critical point, such as sigmoid, are
      named below it;
    - in a layer that is alone between normalizations or residual sums, `gain² / fan_in` with the
      gain `√(1 / E[φ(z)²])` of the activation φ that follows, computed by integration. Each of two
      kernels that are multiplied in a gated unit gets `gain / fan_in`, and each of several kernels
      whose products are added before φ gets an equal share;
    - at the end of one of n residual branches `1 / (n fan_in)`, unless a normalization undoes that.

    A recurrent kernel that is orthogonal stays orthogonal, with the gain that it needs; one that is
    the identity stays the model's own. A bias of zero gets ones where it is that of a forget gate
    for certain: a sigmoid that multiplies a carried value, but not what is added to it.

    Constant factors between a kernel and its signal are divided out. A kernel that is normalized
    (weight normalization) has no scale, so the parameter that scales it gets the value. An
    embedding is a kernel with a fan-in of one, because a lookup sums one product; a table that is
    added to the logits of attention is not. Every other parameter keeps the model's own
    initializer.

    Rows show the model's current standard deviation, its ratio to the planned one, and advice
    where the two differ for a known reason.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      criterion: "criticality" or "second moment" for every kernel that an activation follows; by
        default the one above.

    Raises:
      RuleError: if the model has no initializers and the use of a parameter cannot be read.
      TypeError: if `model` is not a Model.
      ValueError: if the criterion is unknown.

    References:
      He et al., "Delving deep into rectifiers", 2015, section 2.2.
      Schoenholz et al., "Deep information propagation", 2017, section 3 (criticality).
      Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.3
      (branches).

    >>> import jax, jinit, jax.numpy as jnp
    >>> kernels = [jnp.ones((64, 64))] * 3
    >>> def apply(kernels, x):
    ...     return jax.nn.relu(jax.nn.relu(x @ kernels[0]) @ kernels[1]) @ kernels[2]
    >>> model = jinit.trace(apply, kernels, jnp.ones((2, 64)))
    >>> [row.initializer for row in recommend(model).rows]
    [he_normal(), he_normal(), lecun_normal()]
    """
    check_model("recommend", model)
    scales = {leaf.path: needed(leaf, criterion) for leaf in model.leaves}
    arrays: Mapping[str, Any] = {}
    if model.init is not None:  # drawn by the model's own initializers and keys
        arrays = model.by_path(fast_init(model.init)(jax.random.key(0)))
    chosen = []
    for leaf in model.leaves:
        initializer, array = _choose_initializer(leaf, scales, model), arrays.get(leaf.path)
        initializer = _keep_recurrence(leaf, initializer, scales[leaf.path], array)
        chosen.append(fit_initializer(initializer, leaf, model.leaves))
    plan = Plan(model, model.leaves, tuple(chosen))
    return plan.with_current(_current_scales(model, scales, arrays))


def _current_scales(
    model: Model, scales: Mapping[str, NeededScale | None], arrays: Mapping[str, Any]
) -> dict[str, CurrentScale]:
    """Return the current scale of each parameter with advice, by path."""
    current = scales_by_path(arrays)
    result = {}
    for leaf in model.leaves:
        now, scale = current.get(leaf.path), scales[leaf.path]
        advice = misfit_cause(leaf, now) if now else ""
        if scale is not None and not scale.is_stable:
            advice = scale.reason
        elif scale is not None and scale.expects_unit_inputs:
            advice = "; ".join(filter(None, (advice, scale.reason)))
        gate = needed_gate_bias(leaf)
        if gate is not None and (now is None or has_zeros(arrays[leaf.path], gate)):
            advice = gate.reason
        result[leaf.path] = CurrentScale(now.std if now else None, advice)
    return result


def _choose_initializer(
    leaf: Leaf, scales: Mapping[str, NeededScale | None], model: Model
) -> Initializer | None:
    """Return the initializer of a parameter before it is fitted; None for the model's own."""
    scale = scales[leaf.path]
    if scale is not None:
        return _kernel_initializer(leaf, scale)
    if leaf.carries and (value := _carried_value(leaf, scales, model)):
        return constant(value)
    bias_variance = _bias_variance(leaf, scales, model)
    if bias_variance:
        return normal(_round(math.sqrt(bias_variance)))
    if model.init is not None or leaf.role == "state":
        return None
    if leaf.role in ("unread", "other"):
        raise RuleError(_unknown_use(leaf))
    return _ROLE_DEFAULTS.get(leaf.role, zeros)


def _keep_recurrence(
    leaf: Leaf, initializer: Initializer | None, scale: NeededScale | None, array: Any
) -> Initializer | None:
    """Return the initializer of a parameter that acts on the carry of a loop; else the given one.

    An orthogonal recurrent kernel stays orthogonal, and an identity matrix the model's own.
    """
    gate = needed_gate_bias(leaf)
    if gate is not None and (array is None or has_zeros(array, gate)):
        return gate_bias_initializer(leaf, gate) or initializer
    if array is None or scale is None or not leaf.is_recurrent:
        return initializer
    if is_identity(leaf, read_numbers(array)):
        return None
    is_kept = is_orthogonal(leaf, read_numbers(array))
    return recurrent_initializer(leaf, scale) if is_kept else initializer


def _unknown_use(leaf: Leaf) -> str:
    """Return the error message for a parameter whose initializer cannot be chosen."""
    own = (
        "give the model its own initializers, such as jinit.trace(apply, params, *inputs, init=...)"
    )
    if leaf.role == "other":
        return (
            f"recommend: {leaf.path} (shape {leaf.shape}) is not a kernel, bias, scale or table, "
            f"and jinit does not know how to initialize it: {own}, or write rules"
        )
    hint = axes_hint(leaf.path, leaf.shape, leaf.reason)
    return (
        f"recommend: jinit cannot read how the computation uses {leaf.path} (shape {leaf.shape}): "
        f"{hint} if it is a kernel; otherwise {own}"
    )


def _kernel_initializer(leaf: Leaf, scale: NeededScale) -> Initializer:
    """Return the initializer of a kernel or an embedding."""
    if leaf.normalized_by:
        return lecun_normal()
    variance = _round(scale.weights / leaf.weight_factor**2)
    if variance in _NAMED_VARIANCES:
        return _NAMED_VARIANCES[variance]
    activation = leaf.activation
    is_plain = leaf.weight_factor == 1 and activation is not None and activation.input_scale == 1
    if is_plain and scale.criterion == "second moment" and activation is not None:
        name = activation_name(activation)
        if name is not None and activation.argument_count == activation.kernel_count == 1:
            return activation_scaled(name)
    return variance_scaling(variance, "fan_in", "truncated_normal")


def _carried_value(
    leaf: Leaf, scales: Mapping[str, NeededScale | None], model: Model
) -> float | None:
    """Return the value of a parameter that scales a normalized kernel; None if it is unknown."""
    kernel, scale = model.leaf(leaf.carries), scales[leaf.carries]
    if scale is None or not kernel.normalized_rms or not kernel.fan_in:
        return None
    return _round(math.sqrt(scale.weights / kernel.fan_in) / kernel.normalized_rms)


def _bias_variance(leaf: Leaf, scales: Mapping[str, NeededScale | None], model: Model) -> float:
    """Return the largest variance that the kernels of a bias need for it; 0 for other leaves."""
    if leaf.role != "bias":
        return 0.0
    kernels = [each.path for each in model.leaves if each.bias_path == leaf.path]
    return max((scale.biases for path in kernels if (scale := scales[path])), default=0.0)


def _round(value: float) -> float:
    """Return a number with six digits."""
    return float(f"{value:.6g}")
