"""The initializer that each parameter needs, beside the one it has."""

from typing import Any

import jax

from jinit.diagnostics import Scale, advice, copies, ends_branch, scales
from jinit.initializers import (
    activation_scaled,
    he_normal,
    lecun_normal,
    normal,
    ones,
    variance_scaling,
    zeros,
)
from jinit.model import Activation, Leaf, Model
from jinit.rules.fast import fast_init
from jinit.rules.fitting import fitted
from jinit.rules.match import RuleError
from jinit.rules.naming import name_of
from jinit.rules.plan import Plan
from jinit.theory import moments

_SHAPED = ("product", "pooling")
"""Where an activation reaches another kernel, so that its gain is to be undone."""


_WITHOUT_FANS = {"scale": ones, "position": normal(0.02), "token": normal(0.02)}
"""What a parameter starts from that is no kernel, if the model does not say; others, zero."""


def recommend(model: Model) -> Plan:
    r"""What every kernel should start from, given what the computation does with its output.

    Variance `gain² / fan_in`, with the true fan-in and the gain `√(1 / E[φ(z)²])` of the activation
    φ that follows, integrated; `gain / fan_in` for each of two kernels that meet in a gated unit,
    and an equal share for each of several whose products are added up before φ. Kernels that end a
    residual branch are divided by `√n`, n the number of branches, unless a normalization undoes
    that. A lookup sums one product: embeddings are kernels with a fan-in of one. Everything else
    keeps what it has.

    Rows show the standard deviation that the model has now, the ratio of the two, and advice where
    they differ for a reason that can be told.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.

    Raises:
      RuleError: a model without initializers of its own has a parameter that cannot be read.

    Reference: He et al., "Delving deep into rectifiers", 2015, section 2.2; Radford et al.,
    "Language models are unsupervised multitask learners", 2019, section 2.3 (branches).

    >>> import jax, jinit, jax.numpy as jnp
    >>> kernels = [jnp.ones((64, 64)), jnp.ones((64, 64))]
    >>> model = jinit.trace(lambda w, x: jnp.tanh(x @ w[0]) @ w[1], kernels, jnp.ones((2, 64)))
    >>> [row.initializer for row in recommend(model).rows]
    [activation_scaled('tanh', 'forward', 'truncated_normal'), lecun_normal()]
    """
    branches = sum(copies(leaf) for leaf in model.leaves if ends_branch(leaf))
    chosen = [
        fitted(_initializer(leaf, branches, model), leaf, model.leaves) for leaf in model.leaves
    ]
    plan = Plan(model, model.leaves, tuple(chosen))
    if model.init is None:
        return plan
    drawn = fast_init(model.init)(jax.random.key(0))  # by the model's own initializers and keys
    return plan.beside(_compared(plan, scales(model, drawn), branches))


def _compared(plan: Plan, found: dict[str, Scale], branches: int) -> dict[str, tuple[float, str]]:
    """What each parameter has now, and what is to be said of it."""
    stds = {row.path: row.std for row in plan.rows}
    return {
        leaf.path: (
            found[leaf.path].std,
            advice(leaf, found[leaf.path], stds[leaf.path], branches if ends_branch(leaf) else 1),
        )
        for leaf in plan.leaves
    }


def _initializer(leaf: Leaf, branches: int, model: Model) -> Any:
    if leaf.role in ("kernel", "embedding"):
        if branches > 1 and ends_branch(leaf):
            return variance_scaling(1 / branches, "fan_in", "truncated_normal")
        return _of_kernel(leaf.activation)
    if model.init is not None or leaf.role == "state":
        return None
    if leaf.role == "unread":
        return lecun_normal()  # which asks for its axes
    if leaf.role == "other":
        raise RuleError(
            f"recommend: {leaf.path} (shape {leaf.shape}) is no kernel, bias, scale or table, and "
            "what it starts from is for you to say: give the model its own initializers, such as "
            "jinit.trace(apply, params, *inputs, init=...), or write rules"
        )
    return _WITHOUT_FANS.get(leaf.role, zeros)


def _of_kernel(activation: Activation | None) -> Any:
    if activation is None:
        return lecun_normal()
    gated, undone = activation.arguments > 1, activation.end in _SHAPED
    if activation.kernels > 1 or (gated and undone):
        gain = moments(activation).gain if undone else 1.0
        scale = gain ** (1 if gated else 2) / activation.kernels
        return variance_scaling(scale, "fan_in", "truncated_normal")
    name = name_of(activation) if undone else "identity"
    known = {"identity": lecun_normal(), "relu": he_normal()}
    return known[name] if name in known else activation_scaled(name or activation)
