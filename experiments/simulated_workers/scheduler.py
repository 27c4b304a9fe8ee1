"""Threads that take turns in simulated time. Equal programs give equal runs."""

import heapq
import itertools
import threading
from collections.abc import Callable


class Scheduler:
    """Simulated time, in which one thread runs until it waits.

    The thread whose waiting ends first runs next. Errors end the run and are raised by it.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, threading.Lock]] = []
        self._done = _locked()
        self._error: BaseException | None = None
        threading.stack_size(512 * 1024)

    def spawn(self, function: Callable[[], None], at: float = 0.0) -> None:
        """Run a function in a thread of its own from a time on."""
        turn = _locked()

        def run() -> None:
            turn.acquire()
            try:
                function()
            except BaseException as error:  # noqa: BLE001  # it is raised by run()
                self._error = error
            self._pass_on()

        threading.Thread(target=run, daemon=True).start()
        self._push(at, turn)

    def wait_until(self, time: float) -> None:
        """Let other threads run until a time."""
        if not self._waiting or time < self._waiting[0][0]:
            self.now = max(time, self.now)
            return
        turn = _locked()
        self._push(time, turn)
        self._pass_on()
        turn.acquire()

    def run(self) -> None:
        """Run until all threads have ended."""
        self._pass_on()
        self._done.acquire()
        if self._error is not None:
            raise self._error

    def _push(self, time: float, turn: threading.Lock) -> None:
        heapq.heappush(self._waiting, (max(time, self.now), next(self._order), turn))

    def _pass_on(self) -> None:
        if self._error is not None or not self._waiting:
            self._done.release()
            return
        self.now, _, turn = heapq.heappop(self._waiting)
        turn.release()


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock
