"""Progress of long work on standard error, and interrupts that a library cannot swallow."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

_SECONDS_BETWEEN_LINES = 5.0
"""How often a line is printed where there is no terminal to redraw one."""


class ProgressLine:
    """One line that shows the progress of the work.

    A terminal shows it with a moving spinner and the elapsed time. Elsewhere it is printed when
    its first word changes, every few seconds, and once more at the end.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._animation: Any = None
        self._text = self._printed_text = ""
        self._print_time = -_SECONDS_BETWEEN_LINES

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = SpinnerColumn(), TextColumn("{task.description}", markup=False)
            self._animation = Progress(
                *columns, TimeElapsedColumn(), console=self._console, transient=True
            )
            self._task = self._animation.add_task("starting", total=None)
            self._animation.start()
        return self

    def __exit__(self, *failure: object) -> None:
        if self._animation is not None:
            self._animation.stop()
        if self._text != self._printed_text:
            self._print()

    def show(self, text: str) -> None:
        """Show the text in place of the one before."""
        is_new_stage = text.split(" ")[0] != self._text.split(" ")[0]
        self._text = text
        if self._animation is not None:
            self._animation.update(self._task, description=text)
        elif is_new_stage or time.monotonic() - self._print_time >= _SECONDS_BETWEEN_LINES:
            self._print()

    def _print(self) -> None:
        self._printed_text, self._print_time = self._text, time.monotonic()
        print(self._text, file=sys.stderr, flush=True)


class Interruption:
    """The signal that asks the process to end, once it has come."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal, and raise KeyboardInterrupt."""
        self.signal = number
        signal.default_int_handler(number, frame)


@contextlib.contextmanager
def watch_interrupts() -> Iterator[Interruption]:
    """Yield an object that notes Ctrl-C and SIGTERM.

    A KeyboardInterrupt that is raised inside a library's callback can get lost; the note cannot.
    """
    seen = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    watched = signal.SIGINT, signal.SIGTERM
    previous = {number: signal.signal(number, seen.note) for number in watched}
    try:
        yield seen
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
