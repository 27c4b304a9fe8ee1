"""Draw the parameters of a whole model, by rules or by its own initializers."""

from collections.abc import Sequence

import jax
from jax import Array

from jinit.model import Model, PyTree, check_model
from jinit.rules.draw_model import Shardings, draw_model, read_key
from jinit.rules.match import RuleError, Rules
from jinit.rules.plan import Plan, plan


def init(
    model: Model,
    key: Array,
    rules: Plan | Rules | None = None,
    *,
    dtype: jax.typing.DTypeLike | None = None,
    sharding: Shardings = None,
    only: str | Sequence[str] | None = None,
    keep: PyTree = None,
) -> PyTree:
    """Return initial parameters of a whole model, without running it.

    The key of each parameter is derived from `key` and the parameter's path: adding, removing or
    reordering layers leaves the other parameters unchanged. Linen's `params/` is not part of the
    path. Integers, truth values and keys are not drawn by rules: the model's own initialization
    makes them, or `keep` has them. Inside jit and vmap the values are the same; those of other
    libraries' initializers are the same up to rounding.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      key: one random key for the whole model.
      rules: a `Plan`, a sequence of `Rule`, or a mapping of path globs to initializers, which are
        fitted to the use of each parameter; None for the model's own initializers.
      dtype: dtype of floating-point parameters; None for the model's own.
      sharding: one `jax.sharding.Sharding` for all parameters, a tree of them, or a mesh over
        which the network's own annotations distribute them.
      only: globs of paths to draw; all other parameters come from `keep`.
      keep: tree of parameters to keep, which may be incomplete; with `only`, those outside it.

    Returns:
      The tree of parameters, boxed where Linen boxes them; the module itself for NNX.

    Raises:
      RuleError: if the rules do not fit the model.
      TypeError: if `model` is not a Model, `key` is not a random key, `dtype` is not a floating
        dtype, or `keep` is not a tree of the model's kinds of values.
      ValueError: if `key` holds several keys, `dtype` needs JAX's 64-bit types and they are off,
        there are no rules and the model does not know its own initializers, `only` matches
        nothing, or a parameter is neither drawn nor kept, or is kept in another shape.

    >>> import jax, jinit, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> model = jinit.linen.trace(nn.Dense(3), jnp.ones((1, 4)))
    >>> params = init(model, jax.random.key(0), {"**/kernel": "he_normal", "**/bias": "zeros"})
    >>> jax.tree.map(jnp.shape, params)
    {'params': {'bias': (3,), 'kernel': (4, 3)}}
    """
    check_model("init", model)
    read_key(key)
    initializers = {} if rules is None else _read_plan(model, rules).initializers_by_path
    return draw_model(
        model, key, initializers, dtype=dtype, sharding=sharding, only=only, keep=keep
    )


def _read_plan(model: Model, rules: Plan | Rules) -> Plan:
    if not isinstance(rules, Plan):
        return plan(model, rules)
    if missing := set(model.paths) - set(rules.model.paths):
        raise RuleError(
            f"init: the plan is for another model, which does not have {min(missing)}; make one "
            "with jinit.plan(model, rules)"
        )
    return rules
