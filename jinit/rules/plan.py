"""Plans: the initializer of every parameter of a model, to be printed and drawn from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import jax
from jax import Array

from jinit.model import Leaf, Model, PyTree, check_model
from jinit.rules.draw_model import Shardings, draw_model
from jinit.rules.fitting import fit_initializer
from jinit.rules.match import RuleError, Rules, assign_initializers, read_rules
from jinit.rules.plan_row import PlanRow
from jinit.rules.plan_table import plan_html, plan_text


class CurrentScale(NamedTuple):
    """The scale that a parameter of the model has now."""

    std: float | None = None
    """Standard deviation of its entries; None if unknown."""
    advice: str = ""
    """Why it differs from the planned scale; empty if it does not, or the cause is unknown."""


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """Initializers fitted to the parameters of a model, in execution order.

    >>> import jax, jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: x @ w, jnp.ones((4, 3)), jnp.ones((2, 4)))
    >>> plan(model, {"**": "he_normal"})
    <Plan of 1 parameter, 12 entries>
    >>> [(row.shape, row.initializer) for row in plan(model, {"**": "he_normal"}).rows]
    [((4, 3), he_normal())]
    """

    model: Model
    leaves: tuple[Leaf, ...]
    initializers: tuple[Any, ...]
    """The initializer of each leaf; None for the model's own."""
    current: Mapping[str, CurrentScale] = field(default_factory=dict)
    """Current scales of the model's parameters, by path."""

    def with_current(self, current: Mapping[str, CurrentScale]) -> Self:
        """Return the plan annotated with the current scales of the model, by path."""
        return replace(self, current=current)

    @property
    def initializers_by_path(self) -> dict[str, Any]:
        """Initializers by path, without the parameters that the model draws itself."""
        pairs = zip(self.leaves, self.initializers, strict=True)
        return {leaf.path: initializer for leaf, initializer in pairs if initializer is not None}

    def init(
        self,
        key: Array,
        *,
        dtype: jax.typing.DTypeLike | None = None,
        sharding: Shardings = None,
        only: str | Sequence[str] | None = None,
        keep: PyTree = None,
    ) -> PyTree:
        """Return the parameters of the model, drawn by this plan.

        Args:
          key: one random key for the whole model.
          dtype: dtype of floating-point parameters; None for the model's own.
          sharding: one `jax.sharding.Sharding` for all parameters, a tree of them, or a mesh over
            which the network's own annotations distribute them.
          only: globs of paths to draw; all other parameters come from `keep`.
          keep: tree of parameters to keep, which may be incomplete; with `only`, those outside it.

        Raises:
          TypeError: if `key` is not a random key, `dtype` is not a floating dtype, or `keep` is not
            a tree of the model's kinds of values.
          ValueError: if `dtype` cannot be had, `only` matches nothing, or a parameter is neither
            drawn nor kept, or is kept in another shape.
        """
        return draw_model(
            self.model,
            key,
            self.initializers_by_path,
            dtype=dtype,
            sharding=sharding,
            only=only,
            keep=keep,
        )

    @property
    def rows(self) -> tuple[PlanRow, ...]:
        """One row per parameter."""
        return tuple(
            _plan_row(leaf, initializer, self.current.get(leaf.path, CurrentScale()))
            for leaf, initializer in zip(self.leaves, self.initializers, strict=True)
        )

    def __repr__(self) -> str:
        count = len(self.leaves)
        entries = sum(math.prod(leaf.shape) for leaf in self.leaves)
        return f"<Plan of {count:,} parameter{'s' * (count != 1)}, {entries:,} entries>"

    def __str__(self) -> str:
        return plan_text(self.rows)

    def _repr_html_(self) -> str:
        return plan_html(self.rows)


def plan(model: Model, rules: Rules | None = None) -> Plan:
    """Return the initializer that `init` would use for every parameter, without drawing any.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      rules: a sequence of `Rule`, or a mapping of path globs to initializers; the first match
        counts, and an initializer of None is the model's own. No rules leave all to the model.

    Returns:
      A plan, which prints as a table: the role, fans and initializer of every parameter.

    Raises:
      RuleError: if a rule matches nothing, no rule matches a parameter, or a recipe leaves a
        parameter to the model's own initializers and the model has none.
      TypeError: if `model` is not a Model, or `rules` is anything else.

    >>> import jax, jinit, jax.numpy as jnp
    >>> kernel = jnp.ones((8, 8))
    >>> model = jinit.trace(lambda w, x: jax.nn.relu(x @ w) @ w, kernel, jnp.ones((2, 8)))
    >>> print(plan(model, {"**": "he_normal"}))
    path  shape  role    axes    fan in  fan out  activation      initializer  std
          8×8    kernel  in,out  8       8        relu → product  he_normal()  0.5
    """
    check_model("plan", model)
    given = {"**": None} if rules is None else rules
    chosen = assign_initializers(read_rules(given), model.leaves)
    fitted = tuple(
        fit_initializer(initializer, leaf, model.leaves)
        for initializer, leaf in zip(chosen, model.leaves, strict=True)
    )
    own = [
        leaf
        for leaf, rule, initializer in zip(model.leaves, chosen, fitted, strict=True)
        if rule is not None and initializer is None
    ]
    if own and model.init is None:
        raise RuleError(_no_own_message(own))
    return Plan(model, model.leaves, fitted)


def _no_own_message(leaves: Sequence[Leaf]) -> str:
    shown = [f"{leaf.path or 'the parameter'} ({leaf.role}, shape {leaf.shape})" for leaf in leaves]
    return (
        "the rules leave some parameters to the model's own initializers, which a function traced "
        f"from abstract parameters does not have: {', '.join(shown)}; put rules for them first, "
        f"such as jinit.Rule(jinit.normal(0.02), path={leaves[0].path!r}), or give "
        "jinit.trace(apply, params, *inputs, init=...) the function that draws them"
    )


def _plan_row(leaf: Leaf, initializer: Any, current: CurrentScale) -> PlanRow:
    return PlanRow(
        path=leaf.path,
        shape=leaf.shape,
        role=leaf.role,
        axes=leaf.axes,
        fan_in=leaf.fan_in,
        fan_out=leaf.fan_out,
        activation=leaf.activation,
        initializer=initializer,
        std=initializer.entry_std(leaf.shape, leaf.dtype)
        if hasattr(initializer, "entry_std")
        else None,
        current_std=current.std,
        advice=current.advice,
    )
