"""A finding about one layer, and the case that it is judged on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinit.diagnostics.judging.expectations import Expectation
from jinit.diagnostics.judging.layers import LayerRow

VERDICTS = (
    "overflowing",
    "underflowing",
    "symmetric",
    "dead",
    "saturated",
    "exploding",
    "vanishing",
    "chaotic",
    "collapsed",
    "frozen",
    "misscaled",
    "stable",
)
"""All verdicts, from the worst to the best."""


@dataclass(frozen=True)
class Finding:
    """The verdict on one layer, with the cause and the cure of a fault."""

    verdict: str
    cause: str = ""
    cure: str = ""
    source: str = ""
    """Path of the layer that causes the fault; empty if it is this layer."""


STABLE = Finding("stable")


@dataclass(frozen=True)
class Case:
    """Everything that a verdict may depend on."""

    layers: Sequence[LayerRow]
    """In execution order."""
    expectations: Sequence[Expectation]
    """One for each layer."""
    equal_leaves: Mapping[str, str]
    """Path of an earlier, equal parameter, by path."""
    nonfinite_paths: Sequence[str]
    """Paths of parameters with NaN or infinite entries."""

    def chain(self, number: int) -> list[int]:
        """Return the numbers of all layers in the chain of this layer, in order."""
        members = [number]
        for _ in range(self.expectations[number].layers_before):
            members.insert(0, self.layers[members[0]].previous_layer or 0)
        for _ in range(self.expectations[number].layers_after):
            members.append(self.layers[members[-1]].next_layer or 0)
        return members

    def chain_head(self, number: int) -> list[int]:
        """Return the layers of its chain up to this one, this one included."""
        return self.chain(number)[: self.expectations[number].layers_before + 1]

    def chain_tail(self, number: int) -> list[int]:
        """Return the layers of its chain from this one on."""
        return self.chain(number)[self.expectations[number].layers_before :]

    def chain_end(self, number: int) -> int:
        """Return the last layer of its chain."""
        return self.chain(number)[-1]

    def consumer(self, number: int) -> LayerRow | None:
        """Return the layer that takes in this layer's activations; None if there is none."""
        following = self.layers[number].next_layer
        return None if following is None else self.layers[following]


def factor_text(log_ratio: float) -> str:
    """Return the text of a factor of the RMS, given the logarithm of a ratio of mean squares.

    >>> factor_text(math.log(100))
    '10 times'
    """
    return f"{math.exp(min(log_ratio / 2, 700)):.2g} times"


def percent_text(fraction: float) -> str:
    """Return a fraction in percent.

    >>> percent_text(0.25)
    '25 %'
    """
    return f"{100 * fraction:.3g} %"
