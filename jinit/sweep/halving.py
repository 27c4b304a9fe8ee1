"""Successive halving: the best configurations go on, the others stop early."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinit.sweep.counts import check_count
from jinit.sweep.space import Space


@dataclass(frozen=True)
class Halving:
    """A space of which fewer and fewer configurations are trained on.

    Args:
      space: the configurations.
      eta: one of this many configurations goes on after each rung.
      rungs: number of rungs, the last of which has all steps.

    Raises:
      TypeError: if `space` is not a space.
      ValueError: if a number is out of range, or there are fewer configurations than the last
        rung needs.
    """

    space: Space
    eta: int
    rungs: int

    def __post_init__(self) -> None:
        if not isinstance(self.space, Space):
            raise TypeError(
                f"halving: expected a space such as jinit.random_search(64, lr=...), got "
                f"{type(self.space).__name__}"
            )
        for name in ("eta", "rungs"):
            value = check_count(f"halving: {name}", getattr(self, name))
            if value < 2:
                raise ValueError(f"halving: {name}={value}, expected at least 2")
        configurations = len(self.space)
        if configurations < self.eta ** (self.rungs - 1):
            raise ValueError(
                f"halving: {configurations} configurations cannot be divided by {self.eta} "
                f"{self.rungs - 1} times: give more of them, or fewer rungs"
            )

    def steps(self, steps: int, record_every: int) -> tuple[int, ...]:
        """Return the steps of every rung: eta times as many at each, in multiples of recordings.

        Args:
          steps: steps of the last rung.
          record_every: steps between two recordings.

        Raises:
          ValueError: if two rungs fall on the same recording.
        """
        shares = [steps / self.eta ** (self.rungs - 1 - rung) for rung in range(self.rungs - 1)]
        found = [max(round(share / record_every), 1) * record_every for share in shares]
        if len({*found, steps}) != self.rungs or max(found) > steps:
            raise ValueError(
                f"halving: {self.rungs} rungs at a factor of {self.eta} do not fit into {steps} "
                f"steps that are recorded every {record_every}: give more steps, fewer rungs, or "
                f"a smaller record_every"
            )
        return (*found, steps)

    def remaining(self, rung: int) -> int:
        """Return the number of configurations that go on after a rung.

        Args:
          rung: number of the rung, counted from 0.
        """
        return max(len(self.space) // self.eta ** (rung + 1), 1)

    def survivors(self, values: Mapping[int, float], rung: int) -> tuple[int, ...]:
        """Return the configurations that go on after a rung, best first.

        Args:
          values: loss of every configuration that is still trained, by its number; NaN is worst.
          rung: number of the rung, counted from 0.
        """
        ranked = sorted(values, key=lambda number: _sort_key(values[number], number))
        return tuple(ranked[: self.remaining(rung)])


def _sort_key(value: float, number: int) -> tuple[float, int]:
    return (math.inf if math.isnan(value) else value, number)


def halving(space: Space, *, eta: int = 3, rungs: int = 3) -> Halving:
    """Return a space for successive halving.

    All configurations are trained for steps / eta^(rungs - 1) steps, the best of eta go on to eta
    times as many, and so on until the last ones have all steps. Configurations are ranked by the
    mean over their seeds of the metric that selects, the loss of validation. The lanes that go on
    are gathered into full blocks of the same programs, so that no rung compiles anything.

    Args:
      space: the configurations, such as those of `jinit.random_search`.
      eta: one of this many configurations goes on after each rung.
      rungs: number of rungs, the last of which has all steps.

    Raises:
      TypeError: if `space` is not a space.
      ValueError: if a number is out of range, or there are too few configurations.

    Reference: Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter
    optimization, 2016, figure 1.

    >>> from jinit.sweep.between import between
    >>> from jinit.sweep.search import random_search
    >>> search = halving(random_search(27, lr=between(1e-4, 1e-1, log=True)))
    >>> search.steps(900, record_every=50)
    (100, 300, 900)
    """
    return Halving(space, eta, rungs)


def mean_losses(curves: Mapping[int, Sequence[float]], larger_is_better: bool) -> dict[int, float]:
    """Return the mean over seeds by configuration, with the sign of a loss.

    A value that is not finite, that of a lane that has diverged, makes the mean NaN.

    Args:
      curves: values of the metric over seeds, by configuration.
      larger_is_better: whether more of the metric is better.

    >>> mean_losses({0: [1.0, 3.0], 1: [0.5, float("nan")]}, larger_is_better=False)
    {0: 2.0, 1: nan}
    """
    sign = -1 if larger_is_better else 1
    means = {number: sum(values) / len(values) for number, values in curves.items()}
    return {
        number: sign * mean if math.isfinite(mean) else math.nan for number, mean in means.items()
    }
