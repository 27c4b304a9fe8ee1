"""Mimetic initialization: self-attention that initially resembles trained self-attention."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jax import Array

from jinit.initializers import (
    Initializer,
    mimetic_query_key,
    mimetic_value_output,
    stacked,
    xavier_uniform,
)
from jinit.model import Leaf, compile_glob
from jinit.programs.parameters import SharedKey
from jinit.rules.match import Rule, RuleError
from jinit.rules.recipes.minor_parameters import (
    DeferredInitializer,
    Recipe,
    minor_rules,
    weight_rules,
)

_PairName = Literal["query_key", "value_output"]


class _AttentionSizes(NamedTuple):
    """Heads and features of an attention kernel."""

    heads: int
    features: int


@dataclass(frozen=True, repr=False)
class MimeticKernel(Initializer):
    """One of two kernels that are drawn together for their product."""

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
            kernels = mimetic_value_output(key, self.features, self.alpha, self.beta, dtype)
        else:
            width = math.prod(shape) // self.features // self.heads
            kernels = mimetic_query_key(
                key, self.features, self.heads, width, self.alpha, self.beta, dtype
            )
        return kernels[self.pair_index].reshape(shape)


def mimetic(
    queries: str = "**/query/kernel",
    keys: str = "**/key/kernel",
    values: str = "**/value/kernel",
    outputs: str = "**/out/kernel",
    heads: int | None = None,
    beta: float = 0.4,
) -> Recipe:
    """Mimetic initialization of self-attention; all other kernels are Xavier uniform.

    `W_q W_kᵀ ≈ 0.7 (Z + I)` per head and `W_v W_o = 0.4 Z - beta I`, where Z is normal with
    variance 1/features. A query and a key kernel are drawn together from the random key of the
    query's path, and a value and an output kernel from that of the value's path.
    The n-th parameter of one glob and the n-th of the other, in execution order, are a pair.

    Args:
      queries: glob of the query kernels of self-attention.
      keys: glob of the key kernels.
      values: glob of the value kernels.
      outputs: glob of the output kernels.
      heads: number of heads; needed if the shape of a query or key kernel,
        `(features, heads · head_dim)`, does not contain it.
      beta: 0.4 for images; negative, such as -0.4, for language models.

    Raises:
      RuleError: in a plan, if two globs match different numbers of kernels, or the kernels of a
        pair do not fit together.

    Reference: Trockman & Kolter, "Mimetic initialization of self-attention layers", 2023,
    section 4.

    >>> [rule.path for rule in mimetic()[:4]]
    ['**/query/kernel', '**/key/kernel', '**/value/kernel', '**/out/kernel']
    """
    return (
        *_pair_rules("query_key", (queries, keys), 0.7, 0.7, heads),
        *_pair_rules("value_output", (values, outputs), 0.4, beta, heads),
        *weight_rules(xavier_uniform()),
        *minor_rules(),
    )


def _pair_rules(
    pair: _PairName, globs: tuple[str, str], alpha: float, beta: float, heads: int | None
) -> Recipe:
    """Return one rule for each kernel of a pair."""
    return tuple(
        Rule(
            DeferredInitializer(mimetic_kernel, (pair, globs, index, alpha, beta, heads)),
            path=globs[index],
        )
        for index in (0, 1)
    )


def mimetic_kernel(
    leaf: Leaf,
    leaves: Sequence[Leaf],
    pair: _PairName,
    globs: tuple[str, str],
    pair_index: int,
    alpha: float,
    beta: float,
    heads: int | None,
) -> SharedKey:
    """Return the initializer of one kernel of a pair, with the random key of the first one."""
    first, second = _find_pair(leaf, leaves, globs, pair_index)
    sizes, second_sizes = (
        _value_sizes(kernel) if pair == "value_output" else _query_sizes(kernel, heads)
        for kernel in (first, second)
    )
    if sizes != second_sizes:
        raise RuleError(
            f"mimetic: expected two kernels with equal features and heads, got {first.path} "
            f"{first.shape} and {second.path} {second.shape}, which differ in features or heads; "
            "grouped queries and attention between signals of different widths have no mimetic "
            "initialization: put rules for these kernels first"
        )
    initializer: Initializer = MimeticKernel(
        pair=pair,
        pair_index=pair_index,
        alpha=alpha,
        beta=beta,
        heads=sizes.heads,
        features=sizes.features,
    )
    return SharedKey(stacked(initializer) if "stacked" in leaf.axes else initializer, first.path)


def _find_pair(
    leaf: Leaf, leaves: Sequence[Leaf], globs: tuple[str, str], pair_index: int
) -> tuple[Leaf, Leaf]:
    """Return the pair of a parameter: the n-th kernel of each glob."""
    firsts, seconds = (
        [other for other in leaves if compile_glob(glob).fullmatch(other.path)] for glob in globs
    )
    if len(firsts) != len(seconds):
        raise RuleError(
            f"mimetic: {len(firsts)} kernels match {globs[0]!r}, but {len(seconds)} match "
            f"{globs[1]!r}; expected equal numbers, because kernels are drawn in pairs"
        )
    number = (firsts, seconds)[pair_index].index(leaf)
    return firsts[number], seconds[number]


def _query_sizes(leaf: Leaf, heads: int | None) -> _AttentionSizes:
    """Return the heads and features of a query or key kernel."""
    outputs = _axis_sizes(leaf, "out")
    if len(outputs) < 2 and heads is None:
        raise RuleError(
            f"mimetic: the shape of the kernel {leaf.path} {leaf.shape} does not show its heads; "
            "give their number, such as mimetic(heads=8)"
        )
    features = math.prod(_axis_sizes(leaf, "in"))
    return _AttentionSizes(heads=heads or outputs[0], features=features)


def _value_sizes(leaf: Leaf) -> _AttentionSizes:
    """Return one head, and the features of a value or output kernel."""
    inputs, outputs = (math.prod(_axis_sizes(leaf, name)) for name in ("in", "out"))
    if inputs != outputs:
        raise RuleError(
            f"mimetic: expected a square kernel, got {leaf.path} {leaf.shape} with {inputs} inputs "
            f"and {outputs} outputs; value and output kernels are drawn for a product near the "
            "identity and have to be square"
        )
    return _AttentionSizes(heads=1, features=inputs)


def _axis_sizes(leaf: Leaf, name: str) -> list[int]:
    """Return the sizes of the axes with this name."""
    return [size for size, axis in zip(leaf.shape, leaf.axes, strict=True) if axis == name]
