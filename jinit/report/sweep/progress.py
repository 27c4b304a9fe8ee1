"""The progress of a sweep as one line of text; the caller prints it."""

import math
from datetime import timedelta
from typing import Protocol

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class ProgressLike(Protocol):
    """The fields of `jinit.sweep.Progress`."""

    @property
    def stage(self) -> str:
        """Name of the stage, such as `training`."""
        ...

    @property
    def lane_steps(self) -> int:
        """Lane-steps trained so far."""
        ...

    @property
    def total_lane_steps(self) -> int:
        """Lane-steps of the whole sweep."""
        ...

    @property
    def training_seconds(self) -> float:
        """Seconds spent on training so far."""
        ...

    @property
    def diverged_lanes(self) -> int:
        """Lanes that have diverged so far."""
        ...


def rate_text(rate: float) -> str:
    """Return a rate with three significant digits and a unit prefix.

    >>> rate_text(4_120_000), rate_text(999.9), rate_text(0.5)
    ('4.12 M', '1.00 k', '0.50')
    """
    for unit, prefix in _PREFIXES:
        if rate >= 0.9995 * unit:
            return f"{_three_digits(rate / unit)} {prefix}"
    return _three_digits(rate)


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


def progress_line(progress: ProgressLike) -> str:
    """Return stage, percentage, rate, number of diverged runs and time left on one line.

    Args:
      progress: a `jinit.sweep.Progress`, or any object with its fields.

    Returns:
      One line of text.

    >>> from types import SimpleNamespace
    >>> state = SimpleNamespace(
    ...     lane_steps=2_000,
    ...     total_lane_steps=8_000,
    ...     training_seconds=2.0,
    ...     diverged_lanes=3,
    ...     stage="training",
    ... )
    >>> progress_line(state)
    'training   25 %  1.00 k steps/s  3 diverged  0:00:06 left'
    """
    done, total, seconds = progress.lane_steps, progress.total_lane_steps, progress.training_seconds
    share = min(1.0, done / total) if total > 0 else 1.0
    parts = [f"{progress.stage} {math.floor(100 * share):4d} %"]
    if done > 0 and seconds > 0:
        parts.append(f"{rate_text(done / seconds)} steps/s")
    parts.append(f"{progress.diverged_lanes} diverged")
    if 0 < done < total and seconds > 0:
        left = math.ceil(seconds * (total - done) / done)
        parts.append(f"{timedelta(seconds=left)} left")
    return "  ".join(parts)
