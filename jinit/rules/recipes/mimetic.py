"""Mimetic initialization: self-attention that initially resembles trained self-attention."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jax import Array

from jinit.initializers import (
    Initializer,
    mimetic_query_key,
    mimetic_value_output,
    xavier_uniform,
)
from jinit.model import AttentionPart, Leaf
from jinit.programs.parameters import SharedKey
from jinit.rules.attention_blocks import attention_blocks
from jinit.rules.fitting import fit_initializer
from jinit.rules.match import Rule, RuleError
from jinit.rules.recipes.minor_parameters import (
    DeferredInitializer,
    Recipe,
    minor_rules,
    weight_rules,
)

_PairName = Literal["query_key", "value_output"]
_PAIRS: dict[_PairName, tuple[str, str]] = {
    "query_key": ("query", "key"),
    "value_output": ("value", "output"),
}


@dataclass(frozen=True, repr=False)
class MimeticKernel(Initializer):
    """One of two kernels `(in, out)` that are drawn together for their product."""

    name = "mimetic"
    positional = ("pair", "pair_index", "alpha", "beta")
    pair: _PairName
    pair_index: int
    alpha: float
    beta: float
    heads: int
    features: int

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw both kernels from the shared key and return this member of the pair."""
        if self.pair == "value_output":
            key = jax.random.fold_in(key, 1)  # queries and keys may share the kernel and its key
            kernels = mimetic_value_output(key, self.features, self.alpha, self.beta, dtype)
        else:
            width = math.prod(shape) // self.features // self.heads
            kernels = mimetic_query_key(
                key, self.features, self.heads, width, self.alpha, self.beta, dtype
            )
        return kernels[self.pair_index].reshape(shape)


def mimetic(beta: float = 0.4, heads: int | None = None) -> Recipe:
    """Mimetic initialization of self-attention; all other kernels are Xavier uniform.

    `W_q W_kᵀ ≈ 0.7 (Z + I)` per head and `W_v W_o = 0.4 Z - beta I`, where Z is normal with
    variance 1/features. The kernels are found by what the computation does with their products, so
    that heads may be an axis of a kernel or not, and queries, keys and values may be fused in one
    kernel. Two kernels of a pair share one random key. Attention to another signal is Xavier
    uniform.

    Args:
      beta: 0.4 for images; negative, such as -0.4, for language models.
      heads: number of heads, only to be checked; it is read from the computation.

    Raises:
      RuleError: in a plan, if no kernel of attention can be read, the other kernel of a pair cannot
        be read, the two do not fit together, or the number of heads differs.

    Reference: Trockman & Kolter, "Mimetic initialization of self-attention layers", 2023,
    section 4.

    >>> [rule.attention for rule in mimetic()[:4]]
    ['query', 'key', 'value', 'output']
    """
    return (
        *_pair_rules("query_key", 0.7, 0.7, heads),
        *_pair_rules("value_output", 0.4, beta, None),
        *weight_rules(xavier_uniform()),
        *minor_rules(),
    )


def _pair_rules(pair: _PairName, alpha: float, beta: float, heads: int | None) -> Recipe:
    """Return one rule for each kernel of a pair."""
    return tuple(
        Rule(
            DeferredInitializer(mimetic_kernel, (pair, index, alpha, beta, heads)),
            attention=role,
        )
        for index, role in enumerate(_PAIRS[pair])
    )


def mimetic_kernel(
    leaf: Leaf,
    leaves: Sequence[Leaf],
    pair: _PairName,
    pair_index: int,
    alpha: float,
    beta: float,
    heads: int | None,
) -> Initializer | SharedKey:
    """Return the initializer of one kernel of a pair, with the random key that the two share."""
    (part,) = leaf.attention
    if part.is_cross:
        return xavier_uniform()
    first, second = _find_pair(leaf, part, leaves, pair)
    sizes = _value_features if pair == "value_output" else _query_features
    features, other_features = sizes(first), sizes(second)
    found_heads = first.attention[0].unit_count // part.head_dim
    if features != other_features or _unit_counts_differ(first, second):
        raise RuleError(
            f"mimetic: expected two kernels with equal features and heads, got {first.path} "
            f"{first.shape} and {second.path} {second.shape}, which differ in features or heads; "
            "grouped queries and attention between signals of different widths have no mimetic "
            "initialization: put rules for these kernels first"
        )
    if heads not in (None, found_heads):
        raise RuleError(
            f"mimetic: heads={heads} is given, but {first.path} {first.shape} has {found_heads} "
            f"heads of {part.head_dim} features in the computation; leave out heads"
        )
    kernel = MimeticKernel(
        pair=pair,
        pair_index=pair_index,
        alpha=alpha,
        beta=beta,
        heads=1 if pair == "value_output" else found_heads,
        features=features,
    )
    return SharedKey(fit_initializer(kernel, leaf, leaves), _key_path(first, second, leaves))


def _find_pair(
    leaf: Leaf, part: AttentionPart, leaves: Sequence[Leaf], pair: _PairName
) -> tuple[Leaf, Leaf]:
    """Return the two kernels of a pair in one attention, as blocks if they are fused."""
    found = []
    for role in _PAIRS[pair]:
        matches = [
            block
            for other in leaves
            for block in attention_blocks(other)
            if any(
                candidate.role == role and candidate.attention == part.attention
                for candidate in block.attention
            )
        ]
        if len(matches) != 1 or not matches[0].attention[0].is_ordered:
            raise RuleError(
                f"mimetic: {leaf.path} {leaf.shape} is a {part.role} kernel of attention, and "
                f"jinit cannot read one {role} kernel with the same heads and order of features "
                "to pair it with, as in grouped queries; put rules for these kernels first, such "
                f"as jinit.Rule(jinit.xavier_uniform(), path={leaf.path!r})"
            )
        found.append(matches[0])
    return found[0], found[1]


def _unit_counts_differ(first: Leaf, second: Leaf) -> bool:
    return first.attention[0].unit_count != second.attention[0].unit_count


def _key_path(first: Leaf, second: Leaf, leaves: Sequence[Leaf]) -> str:
    """Return the path whose key a pair shares: that of a fused kernel, which draws from its own."""
    fused = {leaf.path for leaf in leaves if len(leaf.attention) > 1}
    return next((leaf.path for leaf in (first, second) if leaf.path in fused), first.path)


def _query_features(leaf: Leaf) -> int:
    """Return the features of the tokens of a query or key kernel."""
    return _axis_product(leaf, "in")


def _value_features(leaf: Leaf) -> int:
    """Return the features of a value or output kernel, which is square."""
    inputs, outputs = _axis_product(leaf, "in"), _axis_product(leaf, "out")
    if leaf.attention[0].role == "value":
        outputs = leaf.attention[0].unit_count
    if inputs != outputs:
        raise RuleError(
            f"mimetic: expected a square kernel, got {leaf.path} {leaf.shape} with {inputs} inputs "
            f"and {outputs} outputs; value and output kernels are drawn for a product near the "
            "identity and have to be square: put rules for these kernels first"
        )
    return inputs


def _axis_product(leaf: Leaf, name: str) -> int:
    return math.prod(size for size, axis in zip(leaf.shape, leaf.axes, strict=True) if axis == name)
