"""What can be the matter with a layer, and all that a judgement may look at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinit.diagnostics.expect import Expectation
from jinit.diagnostics.rows import Row

VERDICTS = (
    *("overflowing", "underflowing", "symmetric", "dead", "saturated", "exploding", "vanishing"),
    *("chaotic", "collapsed", "misscaled", "stable"),
)
"""From the worst to the best."""


@dataclass(frozen=True)
class Finding:
    """What is the matter with one layer."""

    verdict: str
    cause: str = ""
    cure: str = ""
    source: str = ""
    """Layer that it comes from; empty if it is this one."""


STABLE = Finding("stable")


@dataclass(frozen=True)
class Case:
    """All that a judgement may look at."""

    rows: Sequence[Row]
    expected: Sequence[Expectation]
    twins: Mapping[str, str]
    broken: Sequence[str]
    """Paths of parameters that are not finite."""

    def chain(self, number: int) -> list[int]:
        """Numbers of the layers in the chain of one, in order."""
        members = [number]
        for _ in range(self.expected[number].depth):
            members.insert(0, self.rows[members[0]].before or 0)
        for _ in range(self.expected[number].above):
            members.append(self.rows[members[-1]].after or 0)
        return members

    def up_to(self, number: int) -> list[int]:
        """The layers of its chain until this one."""
        return self.chain(number)[: self.expected[number].depth + 1]

    def onwards(self, number: int) -> list[int]:
        """The layers of its chain from this one."""
        return self.chain(number)[self.expected[number].depth :]


def factor(log_ratio: float) -> str:
    """A logarithm of mean squares as a factor of the RMS."""
    return f"{math.exp(min(log_ratio / 2, 700)):.2g} times"


def share(part: float) -> str:
    """A share in percent."""
    return f"{100 * part:.3g} %"
