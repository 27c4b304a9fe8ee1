"""A finding about one layer, and the case that it is judged on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinit.diagnostics.judging.expectations import Expectation
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.measuring.batch_facts import ArrayFacts
from jinit.diagnostics.measuring.statistics import WeightStatistics
from jinit.diagnostics.measuring.zero_gradients import ZeroGradients
from jinit.model import Leaf

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
    cause: str
    cure: str
    source: str = ""
    """Path of the layer or parameter that causes the fault, or `inputs`, `targets` or `loss`; empty
    if it is this layer."""
    is_between_layers: bool = False
    """Whether an operation between layers causes it that is not known yet."""


STABLE = Finding("stable", "", "")


@dataclass(frozen=True)
class ParameterFacts:
    """Facts about parameters, whether or not they belong to a layer."""

    equal: Mapping[str, str]
    """Path of an earlier, equal parameter, by path."""
    zero_gradients: ZeroGradients
    """Parameters whose gradient stays zero."""
    weights: Mapping[str, WeightStatistics]
    """Statistics of the trained parameters, by path."""
    leaves: Mapping[str, Leaf]
    """All parameters of the model, by path."""
    has_own_init: bool = True
    """Whether the model knows its own initializers."""

    @property
    def nonfinite(self) -> list[str]:
        """Paths of parameters with entries that are NaN, infinite or too large to be squared."""
        return [path for path, each in self.weights.items() if each.nonfinite]

    def redraw_cure(self, path: str) -> str:
        """Return the code that draws one parameter again and keeps all others."""
        rules = "" if self.has_own_init else "jinit.recommend(model), "
        return f"draw it again: jinit.init(model, key, {rules}only={path!r}, keep=params)"


@dataclass(frozen=True)
class Case:
    """Everything that a verdict may depend on."""

    layers: Sequence[LayerRow]
    """In execution order."""
    expectations: Sequence[Expectation]
    """One for each layer."""
    parameters: ParameterFacts
    inputs: Sequence[ArrayFacts]
    """The network's floating-point inputs."""

    def wakes_later(self, number: int) -> bool:
        """Return whether a layer's kernel receives a gradient, now or as soon as others learn."""
        zero, path = self.parameters.zero_gradients, self.layers[number].leaf.path
        return path not in zero.dead and path not in zero.cut

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
