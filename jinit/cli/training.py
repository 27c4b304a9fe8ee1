"""Long work with a line of progress, until it is done or interrupted."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from jinit.cli.output import DONE, INTERRUPTED, TERMINATED


@contextlib.contextmanager
def show_progress(to_text: Callable[[Any], str] = str) -> Iterator[Callable[[Any], None]]:
    """Yield a function that shows progress, and that raises KeyboardInterrupt after a signal.

    Args:
      to_text: `to_text(progress)` returns one line.

    Raises:
      KeyboardInterrupt: after Ctrl-C or SIGTERM, with the number of the signal.
    """
    from jinit.cli.progress import ProgressLine, watch_interrupts

    with watch_interrupts() as interrupted, ProgressLine() as line:

        def show(progress: Any) -> None:
            if interrupted.signal is not None:
                raise KeyboardInterrupt
            line.show(to_text(progress))

        try:
            yield show
        except KeyboardInterrupt:
            raise KeyboardInterrupt(interrupted.signal or signal.SIGINT) from None


def train_watched(train: Callable[[Callable[[Any], None]], object]) -> int:
    """Train, show the progress, and return the exit code.

    Args:
      train: `train(progress)`, which calls `progress` as `jinit.Sweep.run` does.
    """
    from jinit.report import progress_line

    try:
        with show_progress(progress_line) as show:
            train(show)
    except KeyboardInterrupt as interrupt:
        return interruption_code(interrupt)
    return DONE


def interruption_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code after the signal that ended the work.

    Args:
      interrupt: from `show_progress`.

    >>> interruption_code(KeyboardInterrupt(signal.SIGTERM)), interruption_code(KeyboardInterrupt())
    (143, 130)
    """
    return TERMINATED if interrupt.args == (signal.SIGTERM,) else INTERRUPTED
