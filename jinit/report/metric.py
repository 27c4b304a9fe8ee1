"""The number that decides which start is best, and how it is written for people."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from jinit.report.statistics import Interval

UNKNOWN = "–"


def compact(value: float, digits: int = 2) -> str:
    """A number in few characters: `digits` significant digits, exponents without padding.

    >>> compact(0.0312), compact(1.3e6), compact(1e-9), compact(float("nan"))
    ('0.031', '1.3e6', '1e-9', '–')
    """
    if math.isnan(value):
        return UNKNOWN
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def with_half(value: float, half: float) -> str:
    """`value ± half`, both to the decimals that give the half-width two significant digits.

    >>> with_half(0.08123, 0.0041), with_half(0.08123, math.inf), with_half(2.0, 0.0)
    ('0.0812 ± 0.0041', '0.0812', '2 ± 0')
    """
    if not math.isfinite(half):
        return compact(value, 3)
    if half == 0 or abs(value) >= 1e5:
        return f"{compact(value, 3)} ± {compact(half)}"
    decimals = max(0, 1 - math.floor(math.log10(half)))
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


@dataclass(frozen=True)
class Metric:
    """A final column of the records that decides: an accuracy (more is better) or a loss (less is).

    Args:
        name: the column, which ends in `accuracy` or `loss`.
        chance: its value for the best guess that ignores the input; None where unknown. A start
            has learned when the interval of its mean lies on the better side of chance.

    Raises:
        ValueError: if the name does not say which direction is better.

    >>> Metric("validation_accuracy", chance=0.1).text(0.9712, 0.0041)
    '97.1 % ± 0.4'
    """

    name: str
    chance: float | None = None

    def __post_init__(self) -> None:
        if not self.name.endswith(("accuracy", "loss")):
            raise ValueError(
                f"the metric {self.name!r} does not say whether more is better; "
                "expected a name that ends in 'accuracy' or 'loss'"
            )

    @property
    def larger_is_better(self) -> bool:
        """Whether more is better."""
        return self.name.endswith("accuracy")

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    def gain(self, value: float) -> float:
        """The value, turned so that more is better."""
        return value if self.larger_is_better else -value

    def worst(self, values: Iterable[float]) -> float:
        """What a diverged lane counts as: chance (or 0) accuracy, the worst finite loss seen.

        >>> Metric("validation_loss", chance=2.3).worst([0.1, 4.0, math.nan])
        4.0
        """
        if self.larger_is_better:
            return self.chance or 0.0
        finite = [value for value in (*values, self.chance) if value is not None]
        return max(filter(math.isfinite, finite), default=math.nan)

    def learned(self, interval: Interval) -> bool:
        """Whether the interval lies on the better side of chance; one value is taken as it is.

        >>> Metric("validation_accuracy", chance=0.1).learned(Interval(0.11, 0.09, 0.13, 8))
        False
        """
        if math.isnan(interval.mean):
            return False
        if self.chance is None:
            return True
        bound = interval.low if self.larger_is_better else interval.high
        return self.gain(interval.mean if interval.count == 1 else bound) > self.gain(self.chance)

    def text(self, value: float, half: float = math.inf) -> str:
        """The value for people: percent for accuracies, significant digits for losses."""
        if not self.larger_is_better:
            return with_half(value, half)
        error = f" ± {100 * half:.1f}" if math.isfinite(half) else ""
        return UNKNOWN if math.isnan(value) else f"{100 * value:.1f} %{error}"

    def distance(self, value: float) -> str:
        """A difference of two values: points of percent for accuracies.

        >>> Metric("validation_accuracy").distance(0.008), Metric("validation_loss").distance(0.02)
        ('0.8 points', '0.02')
        """
        return f"{100 * value:.1f} points" if self.larger_is_better else compact(value)

    def behind(self, difference: Interval) -> str:
        """How far the leader leads, with the interval.

        >>> Metric("validation_accuracy").behind(Interval(0.008, 0.003, 0.013, 8))
        '0.8 points behind [0.3, 1.3]'
        """
        scale = 100 if self.larger_is_better else 1
        low, high = (
            f"{scale * bound:.1f}" if self.larger_is_better else compact(bound)
            for bound in (difference.low, difference.high)
        )
        return f"{self.distance(difference.mean)} behind [{low}, {high}]"
