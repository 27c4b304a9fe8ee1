"""What many recipes share: lesser parameters, and initializers made for each parameter."""

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
_TOKEN = normal(0.02)
LOOKUP = variance_scaling(1.0, "fan_out", "normal")
"""Rows of length 1 in the mean, N(0, 1/features): Flax's own, for tables that are looked up."""


@dataclass(frozen=True)
class Made:
    """An initializer made for each parameter, of the parameter and all others of the model."""

    make: Callable[..., Any]
    """Takes the parameter, all parameters in execution order, and the options."""
    options: tuple[Any, ...] = ()

    def fitted_to(self, leaf: Leaf, leaves: Sequence[Leaf]) -> Any:
        """The initializer of this parameter."""
        return self.make(leaf, leaves, *self.options)

    def __repr__(self) -> str:
        return f"{self.make.__name__}({', '.join(map(repr, self.options))})"


def rest(token: Initializer = _TOKEN, bias: object = zeros) -> Recipe:
    """Biases zero, scales one, tokens as said, as far as a model has them."""
    return (
        Rule(bias, role="bias", optional=True),
        Rule(ones, role="scale", optional=True),
        Rule(token, role="token", optional=True),
        Rule(_TOKEN, role="position", optional=True),
    )


def matrices(initializer: Initializer) -> Recipe:
    """Kernels, embeddings and tables of positions alike, if the draw knows no fans.

    A lookup sums nothing, so that fans say nothing of a table: embeddings are `LOOKUP`, and
    positions as in `rest`, where the initializer scales by fans or builds a matrix.
    """
    alike = getattr(initializer, "entrywise", False)
    tables = {"embedding": initializer, "position": initializer} if alike else {"embedding": LOOKUP}
    roles = {"kernel": initializer} | tables
    return tuple(Rule(each, role=role, optional=True) for role, each in roles.items())


def uniform_beside(leaf: Leaf, leaves: Sequence[Leaf]) -> Initializer:
    """A bias uniform on ±1/√fan_in of its kernel; zero beside none, as in a normalization."""
    del leaves
    return zeros if leaf.fan_in is None else torch_default_bias(int(leaf.fan_in))


def narrow_beside(leaf: Leaf, leaves: Sequence[Leaf], std: float) -> Initializer:
    """A bias N(0, std²) beside a kernel; zero beside none, as in a normalization."""
    del leaves
    return zeros if leaf.fan_in is None else normal(std)


def copies(leaf: Leaf) -> int:
    """Layers that one parameter holds, one per step of a loop."""
    sizes = zip(leaf.shape, leaf.axes, strict=True)
    return math.prod(size for size, word in sizes if word == "stacked")
