"""Self-attention that starts like a trained one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jax import Array

from jinit.initializers import (
    Initializer,
    mimetic_query_key,
    mimetic_value_output,
    stacked,
    xavier_uniform,
)
from jinit.model import Leaf, glob
from jinit.rules.fitting import FromKeyOf
from jinit.rules.match import Rule, RuleError
from jinit.rules.recipes.parts import Made, Recipe, matrices, rest

_Pair = Literal["query_key", "value_output"]


@dataclass(frozen=True, repr=False)
class Half(Initializer):
    """One of two kernels that are drawn for their product."""

    name = "mimetic"
    leading = ("pair", "place", "alpha", "beta")
    pair: _Pair
    place: int
    alpha: float
    beta: float
    heads: int
    features: int

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The one of the pair that is wanted, of a key that both have."""
        strengths = self.alpha, self.beta, dtype
        if self.pair == "value_output":
            return mimetic_value_output(key, self.features, *strengths)[self.place].reshape(shape)
        width = math.prod(shape) // self.features // self.heads
        both = mimetic_query_key(key, self.features, self.heads, width, *strengths)
        return both[self.place].reshape(shape)


def mimetic(
    queries: str = "**/query/kernel",
    keys: str = "**/key/kernel",
    values: str = "**/value/kernel",
    outputs: str = "**/out/kernel",
    heads: int | None = None,
    beta: float = 0.4,
) -> Recipe:
    """Per head W_q W_kᵀ ≈ 0.7 (Z + I), together W_v W_o = 0.4 Z - beta I; the rest Xavier uniform.

    Z is normal of variance 1/features. A query and a key kernel are drawn from one key, that of
    the query's path, and so are a value and an output kernel; the n-th of one glob belongs to the
    n-th of the other in execution order.

    Args:
      queries, keys, values, outputs: globs of the kernels of self-attentions.
      heads: needed where kernels are `(features, heads · head_dim)` and do not show them.
      beta: 0.4 for images; negative, such as -0.4, for language models.

    Raises:
      RuleError: in a plan, kernels that are not square together, or not as many of one glob as of
        the other.

    Reference: Trockman & Kolter, "Mimetic initialization of self-attention layers", 2023,
    section 4.

    >>> [rule.path for rule in mimetic()[:4]]
    ['**/query/kernel', '**/key/kernel', '**/value/kernel', '**/out/kernel']
    """
    inward, outward = (queries, keys), (values, outputs)
    return (
        *(
            Rule(Made(half, ("query_key", inward, n, 0.7, 0.7, heads)), path=inward[n])
            for n in (0, 1)
        ),
        *(
            Rule(Made(half, ("value_output", outward, n, 0.4, beta, heads)), path=outward[n])
            for n in (0, 1)
        ),
        *(*matrices(xavier_uniform()), *rest()),
    )


def half(
    leaf: Leaf,
    leaves: Sequence[Leaf],
    pair: _Pair,
    globs: tuple[str, str],
    place: int,
    alpha: float,
    beta: float,
    heads: int | None,
) -> FromKeyOf:
    """One kernel of a pair, from the key of the pair's first."""
    first, second = _pair_of(leaf, leaves, globs, place)
    sizes = [
        _square(each) if pair == "value_output" else _of_heads(each, heads)
        for each in (first, second)
    ]
    if sizes[0] != sizes[1]:
        raise RuleError(
            f"mimetic: {first.path} {first.shape} and {second.path} {second.shape} are drawn for "
            "their product, but differ in features or heads; grouped queries, or attention between "
            "signals of different widths, have no mimetic start: give them rules in front"
        )
    made: Initializer = Half(pair, place, alpha, beta, *sizes[0])
    return FromKeyOf(stacked(made) if "stacked" in leaf.axes else made, first.path)


def _pair_of(
    leaf: Leaf, leaves: Sequence[Leaf], globs: tuple[str, str], place: int
) -> tuple[Leaf, Leaf]:
    """The n-th kernel of one glob and the n-th of the other, one of them this."""
    firsts, seconds = ([each for each in leaves if glob(one).fullmatch(each.path)] for one in globs)
    if len(firsts) != len(seconds):
        raise RuleError(
            f"mimetic: {len(firsts)} kernels match {globs[0]!r} but {len(seconds)} match "
            f"{globs[1]!r}; they are drawn in pairs"
        )
    number = (firsts, seconds)[place].index(leaf)
    return firsts[number], seconds[number]


def _of_heads(leaf: Leaf, heads: int | None) -> tuple[int, int]:
    """Heads and features of a query or key kernel."""
    outputs = _along(leaf, "out")
    if len(outputs) < 2 and heads is None:
        raise RuleError(
            f"mimetic: the kernel {leaf.path} {leaf.shape} does not show its heads; say how many, "
            "heads="
        )
    return heads or outputs[0], math.prod(_along(leaf, "in"))


def _square(leaf: Leaf) -> tuple[int, int]:
    """One head, and the features of a value or output kernel."""
    inputs, outputs = (math.prod(_along(leaf, word)) for word in ("in", "out"))
    if inputs != outputs:
        raise RuleError(
            f"mimetic: the kernel {leaf.path} {leaf.shape} has {inputs} inputs and {outputs} "
            "outputs, but values and outputs are drawn for a product near the identity and have to "
            "be square"
        )
    return 1, inputs


def _along(leaf: Leaf, word: str) -> list[int]:
    return [size for size, axis in zip(leaf.shape, leaf.axes, strict=True) if axis == word]
