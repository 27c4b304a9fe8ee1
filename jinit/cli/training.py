"""Training with a line of progress, until it is done or interrupted."""

from collections.abc import Callable
from typing import Any

from jinit.cli.output import DONE, INTERRUPTED


def train_watched(train: Callable[[Callable[[Any], None]], object]) -> int:
    """Train, show the progress, and return the exit code.

    Args:
      train: `train(progress)`, which calls `progress` as `jinit.Sweep.run` does.
    """
    from jinit.cli.progress import ProgressLine, watch_interrupts
    from jinit.report import progress_line

    try:
        with watch_interrupts() as interrupted, ProgressLine() as line:

            def show(progress: Any) -> None:
                if interrupted.is_set():
                    raise KeyboardInterrupt
                line.show(progress_line(progress))

            train(show)
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE
