"""Recommend the initializer that each parameter needs, compared with its current scale."""

import jax

from jinit.gains import ParameterScale, misfit_cause, parameter_scales
from jinit.gains.naming import activation_name
from jinit.initializers import (
    Initializer,
    activation_scaled,
    he_normal,
    lecun_normal,
    normal,
    ones,
    variance_scaling,
    zeros,
)
from jinit.model import Activation, Leaf, Model
from jinit.programs.fast_init import fast_init
from jinit.rules.fitting import fit_initializer
from jinit.rules.match import RuleError
from jinit.rules.plan import CurrentScale, Plan
from jinit.theory import moments

_GAIN_ENDS = ("product", "pooling")
"""Ends of an activation's path at which it reaches another kernel, so that its gain counts."""
_ROLE_DEFAULTS = {"scale": ones, "position": normal(0.02), "token": normal(0.02)}
"""Defaults for non-kernel parameters of models without initializers; everything else is zero."""


def recommend(model: Model) -> Plan:
    r"""Return a plan chosen from how the computation uses each parameter.

    A kernel gets the variance `gain² / fan_in`, with the true fan-in and the gain
    `√(1 / E[φ(z)²])` of the activation φ that follows, computed by integration. Each of two kernels
    that are multiplied in a gated unit gets `gain / fan_in`, and each of several kernels whose
    products are added before φ gets an equal share. Kernels that end a residual branch are divided
    by `√n`, where n is the number of branches, unless a normalization undoes that. An embedding
    is a kernel with a fan-in of one, because a lookup sums one product. Every other parameter keeps
    the model's own initializer.

    Rows show the model's current standard deviation, its ratio to the planned one, and advice
    where the two differ for a known reason.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.

    Raises:
      RuleError: if the model has no initializers and the use of a parameter cannot be read.

    References:
      He et al., "Delving deep into rectifiers", 2015, section 2.2.
      Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.3
      (branches).

    >>> import jax, jinit, jax.numpy as jnp
    >>> kernels = [jnp.ones((64, 64)), jnp.ones((64, 64))]
    >>> model = jinit.trace(lambda w, x: jnp.tanh(x @ w[0]) @ w[1], kernels, jnp.ones((2, 64)))
    >>> [row.initializer for row in recommend(model).rows]
    [activation_scaled('tanh', 'forward', 'truncated_normal'), lecun_normal()]
    """
    branches = sum(leaf.stacked_layers for leaf in model.leaves if leaf.ends_branch)
    chosen = [
        fit_initializer(_choose_initializer(leaf, branches, model), leaf, model.leaves)
        for leaf in model.leaves
    ]
    plan = Plan(model, model.leaves, tuple(chosen))
    if model.init is None:
        return plan
    params = fast_init(model.init)(jax.random.key(0))  # by the model's own initializers and keys
    return plan.with_current(_current_scales(plan, parameter_scales(model, params), branches))


def _current_scales(
    plan: Plan, scales: dict[str, ParameterScale], branches: int
) -> dict[str, CurrentScale]:
    """Return the current scale of each parameter with advice, by path."""
    planned = {row.path: row.std for row in plan.rows}
    current = {}
    for leaf in plan.leaves:
        scale = scales[leaf.path]
        count = branches if leaf.ends_branch else 1
        advice = misfit_cause(leaf, scale, planned[leaf.path], count)
        current[leaf.path] = CurrentScale(scale.std, advice)
    return current


def _choose_initializer(leaf: Leaf, branches: int, model: Model) -> Initializer | None:
    """Return the initializer of a parameter before it is fitted; None for the model's own."""
    if leaf.role in ("kernel", "embedding"):
        if branches > 1 and leaf.ends_branch:
            return variance_scaling(1 / branches, "fan_in", "truncated_normal")
        return _kernel_initializer(leaf.activation)
    if model.init is not None or leaf.role == "state":
        return None
    if leaf.role == "unread":
        return lecun_normal()  # fitting it raises and asks the user to state the axes
    if leaf.role == "other":
        raise RuleError(
            f"recommend: {leaf.path} (shape {leaf.shape}) is not a kernel, bias, scale or table, "
            "and jinit does not know how to initialize it: give the model its own initializers, "
            "such as jinit.trace(apply, params, *inputs, init=...), or write rules"
        )
    return _ROLE_DEFAULTS.get(leaf.role, zeros)


def _kernel_initializer(activation: Activation | None) -> Initializer:
    if activation is None:
        return lecun_normal()
    is_gated, needs_gain = activation.argument_count > 1, activation.end in _GAIN_ENDS
    if activation.kernel_count > 1 or (is_gated and needs_gain):
        gain = moments(activation).gain if needs_gain else 1.0
        scale = gain ** (1 if is_gated else 2) / activation.kernel_count
        return variance_scaling(scale, "fan_in", "truncated_normal")
    name = activation_name(activation) if needs_gain else "identity"
    known = {"identity": lecun_normal(), "relu": he_normal()}
    return known[name] if name in known else activation_scaled(name or activation)
