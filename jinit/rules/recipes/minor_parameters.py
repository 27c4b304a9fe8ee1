"""Rules that many recipes share: biases, scales, tokens, positions, and tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jinit.initializers import (
    Initializer,
    normal,
    ones,
    torch_default_bias,
    variance_scaling,
    zeros,
)
from jinit.model import Leaf
from jinit.rules.match import Rule

Recipe = tuple[Rule, ...]
_SMALL_NORMAL = normal(0.02)
_UNIT_EMBEDDING = variance_scaling(1.0, "fan_out", "normal")
"""N(0, 1/features), Flax's default for embeddings: the mean squared length of a row is 1."""


@dataclass(frozen=True)
class DeferredInitializer:
    """An initializer that is built for each parameter from all parameters of the model."""

    make: Callable[..., Any]
    """Function of the parameter, all parameters in execution order, and the options."""
    options: tuple[Any, ...] = ()
    """Further arguments of the function."""

    def resolve(self, leaf: Leaf, leaves: Sequence[Leaf]) -> Any:
        """Return the initializer of this parameter."""
        return self.make(leaf, leaves, *self.options)

    def __repr__(self) -> str:
        return f"{self.make.__name__}({', '.join(map(repr, self.options))})"


def minor_rules(token: Initializer = _SMALL_NORMAL, bias: object = zeros) -> Recipe:
    """Return optional rules for biases, tokens, scales (one) and positions (N(0, 0.02²))."""
    return (
        Rule(bias, role="bias", optional=True),
        Rule(ones, role="scale", optional=True),
        Rule(token, role="token", optional=True),
        Rule(_SMALL_NORMAL, role="position", optional=True),
    )


def weight_rules(initializer: Initializer) -> Recipe:
    """Return optional rules for kernels and embeddings, and for positions if entrywise.

    An entrywise initializer does not depend on fans and is used for all three roles. Otherwise
    embeddings are `_UNIT_EMBEDDING`, because a lookup has no sum over inputs, and the rule for
    positions is left to `minor_rules`.
    """
    by_role = {"kernel": initializer, "embedding": _UNIT_EMBEDDING}
    if getattr(initializer, "is_entrywise", False):
        by_role = dict.fromkeys(("kernel", "embedding", "position"), initializer)
    return tuple(Rule(chosen, role=role, optional=True) for role, chosen in by_role.items())


def uniform_bias(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return uniform on ±1/√fan_in of the kernel of a bias, or zeros if it has no kernel."""
    del leaves
    return zeros if leaf.fan_in is None else torch_default_bias(int(leaf.fan_in))


def normal_bias(leaf: Leaf, leaves: Sequence[Leaf], std: float) -> Initializer:
    """Return N(0, std²) for a bias, or zeros if it has no kernel, as in a normalization."""
    del leaves
    return zeros if leaf.fan_in is None else normal(std)
