"""Which initializer every parameter gets: to look at, and to draw from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from jax import Array

from jinit.model import Activation, Leaf, Model
from jinit.rules.fitting import fitted
from jinit.rules.match import assigned, rules_of
from jinit.rules.naming import name_of


@dataclass(frozen=True)
class Row:
    """One parameter of a plan."""

    path: str
    shape: tuple[int, ...]
    role: str
    axes: tuple[str, ...]
    fan_in: float | None
    fan_out: float | None
    activation: Any
    initializer: Any
    std: float | None
    """Standard deviation of an entry, where the initializer states its law."""
    now: float | None = None
    """What the model has instead, if that was asked for."""
    advice: str = ""

    @property
    def ratio(self) -> float | None:
        """What it has over what it is to get."""
        return self.now / self.std if self.std and self.now is not None else None


@dataclass(frozen=True, eq=False)
class Plan:
    """Initializers fitted to the parameters of a model, in execution order.

    >>> import jax, jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: x @ w, jnp.ones((4, 3)), jnp.ones((2, 4)))
    >>> [(row.shape, row.initializer) for row in plan(model, {"**": "he_normal"}).rows]
    [((4, 3), he_normal())]
    """

    model: Model
    leaves: tuple[Leaf, ...]
    initializers: tuple[Any, ...]
    compared: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    """By path, the standard deviation that the model has now, and advice."""

    def beside(self, compared: Mapping[str, tuple[float, str]]) -> Self:
        """The same plan beside what the model has now."""
        return replace(self, compared=compared)

    def init(self, key: Array, **options: Any) -> Any:
        """The parameters drawn; `options` are those of `jinit.init`."""
        from jinit.rules.initialize import init

        return init(self.model, key, self, **options)

    def __str__(self) -> str:
        titles = "path", "shape", "role", "axes", "fan in", "fan out", "then", "initializer", "std"
        more = ("now", "ratio", "advice") if self.compared else ()
        rows = [_words(row) + (_comparison(row) if more else ()) for row in self.rows]
        return _table([titles + more, *rows])

    @property
    def rows(self) -> tuple[Row, ...]:
        """One per parameter."""
        return tuple(
            _row(leaf, initializer, *self.compared.get(leaf.path, (None, "")))
            for leaf, initializer in zip(self.leaves, self.initializers, strict=True)
        )


def plan(model: Model, rules: Any) -> Plan:
    """What `init` would do with these rules: every parameter with its role, fans and initializer.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      rules: a sequence of `Rule`, or a mapping of path globs to initializers; the first match wins.

    Raises:
      RuleError: a rule that matches nothing, or a parameter that no rule matches.

    >>> import jax, jinit, jax.numpy as jnp
    >>> kernels = jnp.ones((3, 3))
    >>> model = jinit.trace(lambda w, x: jax.nn.relu(x @ w) @ w, kernels, jnp.ones((2, 3)))
    >>> print(plan(model, {"**": "he_normal"}))
    path  shape  role    axes    fan in  fan out  then            initializer  std
          3×3    kernel  in,out  3       3        relu → product  he_normal()  0.8165
    """
    chosen = assigned(rules_of(rules), model.leaves)
    pairs = zip(chosen, model.leaves, strict=True)
    return Plan(model, model.leaves, tuple(fitted(*pair, model.leaves) for pair in pairs))


def _words(row: Row) -> tuple[str, ...]:
    fans = ["" if fan is None else f"{fan:g}" for fan in (row.fan_in, row.fan_out)]
    return (
        *(row.path, "×".join(map(str, row.shape)), row.role, ",".join(row.axes), *fans),
        *(
            _then(row.activation),
            str(row.initializer or "its own"),
            "" if row.std is None else f"{row.std:.4g}",
        ),
    )


def _comparison(row: Row) -> tuple[str, ...]:
    return (
        "" if row.now is None else f"{row.now:.4g}",
        "" if row.ratio is None else f"{row.ratio:.3g}",
        row.advice,
    )


def _then(activation: Activation | None) -> str:
    if activation is None:
        return ""
    return f"{name_of(activation) or 'own function'} → {activation.end}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in padded)


def _row(leaf: Leaf, initializer: Any, now: float | None, advice: str) -> Row:
    law = initializer.marginal(leaf.shape) if hasattr(initializer, "marginal") else None
    return Row(
        *(leaf.path, leaf.shape, leaf.role, leaf.axes, leaf.fan_in, leaf.fan_out),
        *(leaf.activation, initializer, law.std if law else None),
        *(now, advice),
    )
