"""Rules that many recipes share: biases, scales, tokens, positions, and tables.

A recipe sets the parameters that its source knows. All others keep the model's own initializer,
which is a good choice for what only the author of the model knows: decays of state-space layers,
latents, masks, gates.
"""

import math
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
SMALL_NORMAL = normal(0.02)
_UNIT_EMBEDDING = variance_scaling(1.0, "fan_out", "normal")
"""N(0, 1/features), Flax's default for embeddings: the mean squared length of a row is 1."""
UNIT_TIED_TABLE = variance_scaling(1.0, "fan_in", "normal")
"""N(0, 1/features) for a table that is also a kernel, whose inputs are the features."""


@dataclass(frozen=True)
class DeferredInitializer:
    """An initializer that is built for each parameter from all parameters of the model."""

    make: Callable[..., Any]
    """Function of the parameter, all parameters in execution order, and the options. It returns an
    initializer, another deferred one, or None for the model's own."""
    options: tuple[Any, ...] = ()
    """Further arguments of the function."""

    def resolve(self, leaf: Leaf, leaves: Sequence[Leaf]) -> Any:
        """Return the initializer of this parameter."""
        return self.make(leaf, leaves, *self.options)

    def __repr__(self) -> str:
        return f"{self.make.__name__}({', '.join(map(repr, self.options))})"


def models_own(leaf: Leaf, leaves: Sequence[Leaf]) -> None:
    """Return None, which stands for the model's own initializer."""
    del leaf, leaves


def minor_rules(
    token: object = None, position: Initializer | None = None, bias: object = zeros
) -> Recipe:
    """Return optional rules for all parameters that are not kernels or tables.

    Biases of kernels and normalizations, and scales of normalizations (one), are set. All others
    keep the model's own initializer.

    Args:
      token: initializer of tokens; None for the model's own.
      position: initializer of position tables that are added to a signal; None for the model's own.
      bias: initializer of biases.
    """
    tables = {"token": token, "position": position}
    return (
        Rule(DeferredInitializer(known_bias, (bias,)), role="bias", optional=True),
        Rule(DeferredInitializer(normalization_scale), role="scale", optional=True),
        *(Rule(table, role=role, optional=True) for role, table in tables.items() if table),
        Rule(DeferredInitializer(models_own), optional=True),
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


def tied_rule(table: Any) -> Rule:
    """Return an optional rule for a table of tokens that is also the kernel of the output layer.

    Args:
      table: its initializer, that of the table; its input axis as a kernel has the features.
    """
    return Rule(table, role="kernel", tied=True, optional=True)


def normalization_scale(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer | None:
    """Return ones for the scale of a normalization, and the model's own for any other scale."""
    del leaves
    return ones if leaf.is_normalization else None


def class_token(leaf: Leaf, leaves: Sequence[Leaf], token: Initializer) -> Initializer | None:
    """Return the initializer of a single token, and the model's own for several in one parameter.

    Several tokens, such as learned queries, stay equal forever if they begin with equal values.
    """
    del leaves
    return token if math.prod(leaf.shape) == max(leaf.shape, default=1) else None


def known_bias(leaf: Leaf, leaves: Sequence[Leaf], bias: Any) -> Any:
    """Return `bias` for the bias of a kernel, zeros for that of a normalization, else None."""
    del leaves
    if leaf.fan_in is not None:
        return bias
    return zeros if leaf.is_normalization else None


def biased_kernel(leaf: Leaf, leaves: Sequence[Leaf]) -> Leaf | None:
    """Return the kernel whose product a bias is added to: the last one before it with its fan-in.

    Args:
      leaf: a bias.
      leaves: all parameters of the model, in execution order.
    """
    before = leaves[: leaves.index(leaf)]
    kernels = (other for other in reversed(before) if other.role == "kernel")
    return next((kernel for kernel in kernels if kernel.fan_in == leaf.fan_in), None)


def uniform_bias(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """Return uniform on ±1/√fan_in of the kernel of a bias."""
    del leaves
    return torch_default_bias(int(leaf.fan_in or 1))


def is_logit_table(leaf: Leaf) -> bool:
    """Return whether a looked-up table is added to the logits of attention.

    Args:
      leaf: an embedding.
    """
    return leaf.activation is not None and leaf.activation.end == "softmax"


def stream_width(leaves: Sequence[Leaf]) -> float | None:
    """Return the width of the residual stream: the inputs of the first kernel of a branch.

    Args:
      leaves: all parameters of the model, in execution order.

    Returns:
      The width; without branches, the features of the first embedding, or else None.
    """
    widths = [leaf.fan_in for leaf in leaves if leaf.branch is not None]
    tables = [leaf.fan_out for leaf in leaves if leaf.role == "embedding"]
    return next(iter((*widths, *tables)), None)
