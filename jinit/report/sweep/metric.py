"""The metric by which candidates are compared, and its text for people."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from jinit.report.sweep.intervals import FEW_SEEDS, FLOAT32_RESOLUTION, MeanInterval, mean_interval
from jinit.report.text import UNKNOWN_TEXT, compact_text, interval_text


@dataclass(frozen=True)
class Metric:
    """A final column of the records: an accuracy, where more is better, or a loss.

    Args:
      name: the column; ends in `accuracy` or `loss`.
      chance: its value for the best guess that ignores the input; None if unknown.

    Raises:
      ValueError: if the name does not say whether more is better.

    >>> Metric("validation_accuracy", chance=0.1).metric_text(0.9712, 0.0041)
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
        """The name with spaces."""
        return self.name.replace("_", " ")

    def merit(self, value: float) -> float:
        """Return the value with the sign for which more is better."""
        return value if self.larger_is_better else -value

    def worst_value(self, values: Iterable[float]) -> float:
        """Return the value of a diverged lane: accuracy by chance (or 0), worst finite loss.

        >>> Metric("validation_loss", chance=2.3).worst_value([0.1, 4.0, math.nan])
        4.0
        """
        if self.larger_is_better:
            return self.chance or 0.0
        finite = [value for value in (*values, self.chance) if value is not None]
        return max(filter(math.isfinite, finite), default=math.nan)

    def is_better_than_chance(self, value: float) -> bool:
        """Return whether a value is better than chance by more than rounding; True if unknown."""
        if self.chance is None:
            return True
        rounding = FLOAT32_RESOLUTION * max(abs(value), abs(self.chance))
        return self.merit(value) - self.merit(self.chance) > rounding

    def has_learned(self, interval: MeanInterval) -> bool:
        """Return whether the interval lies on the better side of chance; True if it is unknown.

        >>> Metric("validation_accuracy", chance=0.1).has_learned(MeanInterval(0.11, 0.09, 0.13, 8))
        False
        """
        if math.isnan(interval.mean):
            return False
        bound = interval.low if self.larger_is_better else interval.high
        return self.is_better_than_chance(bound)

    def metric_text(self, value: float, half_width: float = math.inf) -> str:
        """Return a value as text: percent for accuracies, significant digits for losses."""
        if not self.larger_is_better:
            return interval_text(value, half_width)
        if math.isnan(value):
            return UNKNOWN_TEXT
        error = f" ± {100 * half_width:.1f}" if math.isfinite(half_width) else ""
        return f"{100 * value:.1f} %{error}"

    def sample_text(self, values: Collection[float]) -> str:
        """Return the mean over seeds with its 95 % interval, or with the range of a few seeds.

        Student's interval of two or three values is so wide that their range says more.

        >>> Metric("validation_accuracy").sample_text([0.75, 0.85])
        '80.0 % (75.0 to 85.0)'
        """
        interval = mean_interval(values)
        if interval.count >= FEW_SEEDS or interval.count == 1:
            return self.metric_text(interval.mean, interval.half_width)
        text = self.metric_text(interval.mean)
        low, high = (self.metric_text(bound).removesuffix(" %") for bound in _range(values))
        return text if low == high else f"{text} ({low} to {high})"

    def difference_text(self, value: float) -> str:
        """Return a difference of two values as text: percentage points for accuracies.

        >>> Metric("validation_accuracy").difference_text(0.008)
        '0.8 points'
        >>> Metric("validation_loss").difference_text(0.02)
        '0.02'
        """
        return f"{100 * value:.1f} points" if self.larger_is_better else compact_text(value)

    def lead_text(self, difference: MeanInterval) -> str:
        """Return how much worse the other candidate is, with the interval.

        >>> Metric("validation_accuracy").lead_text(MeanInterval(0.008, 0.003, 0.013, 8))
        '0.8 points worse [0.3, 1.3]'
        """
        low, high = (
            self.difference_text(bound).removesuffix(" points")
            for bound in (difference.low, difference.high)
        )
        return f"{self.difference_text(difference.mean)} worse [{low}, {high}]"


def _range(values: Collection[float]) -> tuple[float, float]:
    return min(values), max(values)
