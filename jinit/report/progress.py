"""One line on how far a sweep is. Pure text: who calls it prints it."""

import math
from datetime import timedelta
from typing import Any

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def rate_text(rate: float) -> str:
    """Lane-steps per second with three significant digits.

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


def progress_line(progress: Any) -> str:
    """Stage, share done, speed, diverged lanes and time left, on one line of steady layout.

    Args:
        progress: anything with the fields `done` and `total` (lane-steps), `seconds` (spent on
            those done), `diverged` (lanes so far) and `stage` (words).

    >>> from types import SimpleNamespace
    >>> state = SimpleNamespace(done=2_000, total=8_000, seconds=2.0, diverged=3, stage="training")
    >>> progress_line(state)
    'training   25 %  1.00 k lane-steps/s  3 diverged  0:00:06 left'
    """
    done, total, seconds = progress.done, progress.total, progress.seconds
    share = min(1.0, done / total) if total > 0 else 1.0
    parts = [f"{progress.stage} {math.floor(100 * share):4d} %"]
    if done > 0 and seconds > 0:
        parts.append(f"{rate_text(done / seconds)} lane-steps/s")
    parts.append(f"{progress.diverged} diverged")
    if 0 < done < total and seconds > 0:
        left = math.ceil(seconds * (total - done) / done)
        parts.append(f"{timedelta(seconds=left)} left")
    return "  ".join(parts)
