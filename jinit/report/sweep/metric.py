"""The metric by which candidates are compared, and its text for people."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from jinit.report.sweep.intervals import FEW_SEEDS, FLOAT32_RESOLUTION, MeanInterval, mean_interval
from jinit.report.text import UNKNOWN_TEXT, compact_text, interval_text

_DIRECTIONS = {"accuracy": True, "loss": False, "error": False}
"""Whether more is better, by the ending of a column's name."""


def known_direction(name: str) -> bool | None:
    """Return whether more is better, as the name of a column says; None if it does not.

    >>> known_direction("validation_accuracy"), known_direction("validation_reward")
    (True, None)
    """
    found = [better for ending, better in _DIRECTIONS.items() if name.endswith(ending)]
    return found[0] if found else None


@dataclass(frozen=True)
class Metric:
    """A final column of the records by which runs are compared.

    Args:
      name: the column.
      chance: its value for the best guess that ignores the input; None if unknown.
      larger_is_better: whether more is better; by default as the name says, for an accuracy, a
        loss or an error.
      resolution: distance between two neighboring values, which is 1/n for an accuracy over n
        examples; 0 for values that can be any number.

    Raises:
      ValueError: if neither says whether more is better.

    >>> Metric("validation_accuracy", chance=0.1).metric_text(0.9712, 0.0041)
    '97.1 % ± 0.4'
    >>> Metric("validation_reward", larger_is_better=True).merit(3.0)
    3.0
    """

    name: str
    chance: float | None = None
    larger_is_better: bool | None = None
    resolution: float = 0.0

    def __post_init__(self) -> None:
        direction = self.larger_is_better
        direction = known_direction(self.name) if direction is None else direction
        if direction is None:
            raise ValueError(
                f"the metric {self.name!r} does not say whether more is better; expected a name "
                "that ends in 'accuracy', 'loss' or 'error', or larger_is_better in the outline"
            )
        object.__setattr__(self, "larger_is_better", direction)

    @property
    def is_percentage(self) -> bool:
        """Whether values are shares from 0 to 1, shown in percent."""
        return self.name.endswith("accuracy")

    @property
    def title(self) -> str:
        """The name with spaces."""
        return self.name.replace("_", " ")

    def merit(self, value: float) -> float:
        """Return the value with the sign for which more is better."""
        return value if self.larger_is_better else -value

    def worst_value(self, values: Iterable[float]) -> float:
        """Return the value of a diverged lane: accuracy by chance (or 0), else the worst value.

        >>> Metric("validation_loss", chance=2.3).worst_value([0.1, 4.0, math.nan])
        4.0
        """
        if self.is_percentage:
            return self.chance or 0.0
        known = [value for value in (*values, self.chance) if value is not None]
        return min(filter(math.isfinite, known), key=self.merit, default=math.nan)

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
        """Return a value as text: percent for accuracies, significant digits for other numbers."""
        if not self.is_percentage:
            return interval_text(value, half_width)
        if math.isnan(value):
            return UNKNOWN_TEXT
        error = f" ± {100 * half_width:.1f}" if math.isfinite(half_width) else ""
        return f"{100 * value:.1f} %{error}"

    def sample_text(self, values: Collection[float]) -> str:
        """Return the mean over seeds with its 95 % interval, or with the range of the values.

        Student's interval of two or three values is so wide that their range says more. The same
        holds where the interval of an accuracy leaves 0 to 100 %.

        >>> Metric("validation_accuracy").sample_text([0.75, 0.85])
        '80.0 % (75.0 to 85.0)'
        >>> Metric("validation_accuracy").sample_text([0.1, 0.1, 0.1, 0.97])
        '31.8 % (10.0 to 97.0)'
        """
        interval = mean_interval(values)
        if interval.count == 1 or self.has_interval(interval):
            return self.metric_text(interval.mean, interval.half_width)
        text = self.metric_text(interval.mean)
        low, high = (self.metric_text(bound).removesuffix(" %") for bound in _range(values))
        return text if low == high else f"{text} ({low} to {high})"

    def has_interval(self, interval: MeanInterval) -> bool:
        """Return whether an interval is shown, rather than the range of the values.

        Args:
          interval: the interval of a mean over seeds.

        >>> Metric("validation_accuracy").has_interval(MeanInterval(0.9, 0.8, 1.1, 8))
        False
        """
        is_possible = not self.is_percentage or (interval.low >= 0 and interval.high <= 1)
        return interval.count >= FEW_SEEDS and is_possible

    def difference_text(self, value: float) -> str:
        """Return a difference of two values as text: percentage points for accuracies.

        >>> Metric("validation_accuracy").difference_text(0.008)
        '0.8 points'
        >>> Metric("validation_loss").difference_text(0.02)
        '0.02'
        """
        return f"{100 * value:.1f} points" if self.is_percentage else compact_text(value)

    def lead_text(self, difference: MeanInterval) -> str:
        """Return how much worse the other candidate is, with the interval.

        The interval is left out where it says nothing: a difference of accuracies beyond 100
        points.

        >>> Metric("validation_accuracy").lead_text(MeanInterval(0.008, 0.003, 0.013, 8))
        '0.8 points worse [0.3, 1.3]'
        """
        worse = f"{self.difference_text(difference.mean)} worse"
        if not self.is_possible_difference(difference.low, difference.high):
            return worse
        low, high = (
            self.difference_text(bound).removesuffix(" points")
            for bound in (difference.low, difference.high)
        )
        return f"{worse} [{low}, {high}]"

    def is_possible_difference(self, *bounds: float) -> bool:
        """Return whether two runs can differ by each of these values.

        Args:
          *bounds: differences of two values.

        >>> Metric("validation_accuracy").is_possible_difference(-0.1, 1.677)
        False
        """
        most = 1.0 if self.is_percentage else math.inf
        return all(math.isfinite(bound) and abs(bound) <= most for bound in bounds)


def _range(values: Collection[float]) -> tuple[float, float]:
    return min(values), max(values)
