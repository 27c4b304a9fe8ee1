"""Threads that train blocks at the same time, one per slot, and the thread that serves them."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from jinit.sweep.block import BlockRun
from jinit.sweep.prepared_block import PreparedBlock

_SECONDS_BETWEEN_SIGNS = 1.0
_SECONDS_BETWEEN_LOOKS = 0.2
_EVENTS_PER_SLOT = 2
"""Most events per thread that wait to be handled: finished blocks hold memory of the devices."""

TrainBlocks = Callable[[Iterable[PreparedBlock]], Iterator[BlockRun]]
"""Trains blocks one after the other, and yields one after each of its recordings."""


class Recording(NamedTuple):
    """A block after one of its recordings, while its thread may go on."""

    block_run: BlockRun
    step: int
    diverged_lanes: int
    """Number of lanes that have diverged since this run of the block began."""
    is_finished: bool


class _Request(NamedTuple):
    """A slot that asks for its next block; it gets None if there is none."""

    slot: int
    prepared: Future


class SlotThreads:
    """Threads that train blocks, one per slot.

    The thread that iterates over `recordings` prepares blocks when they are asked for: it is the
    only one that traces and draws.

    Args:
      trainers: trains the blocks of every slot.
      stop: set to let the threads end after their present calls.
    """

    def __init__(self, trainers: Sequence[TrainBlocks], stop: threading.Event) -> None:
        self._stop = stop
        self._events: queue.Queue = queue.Queue(_EVENTS_PER_SLOT * len(trainers))
        self._threads = [
            threading.Thread(target=self._run, args=given, daemon=True)
            for given in enumerate(trainers)
        ]

    def recordings(
        self, prepare_next: Callable[[int], PreparedBlock | None], give_sign: Callable[[], None]
    ) -> Iterator[Recording]:
        """Train blocks, and yield them after each of their recordings.

        Args:
          prepare_next: prepares the next block for a slot; returns None if there is none.
          give_sign: called about once per second.

        Raises:
          Exception: the error of a thread.
        """
        for thread in self._threads:
            thread.start()
        running = len(self._threads)
        while running:
            try:
                event = self._events.get(timeout=_SECONDS_BETWEEN_SIGNS)
            except queue.Empty:
                give_sign()
                continue
            if isinstance(event, _Request):
                event.prepared.set_result(prepare_next(event.slot))
            elif isinstance(event, BaseException):
                raise event
            elif event is None:
                running -= 1
            else:
                yield event

    def end(self, seconds: float) -> list[BlockRun]:
        """Let the threads end after their present calls, and return the blocks they have finished.

        Args:
          seconds: most seconds to wait for them.
        """
        self._stop.set()
        finished, deadline = [], time.monotonic() + seconds
        while any(thread.is_alive() for thread in self._threads) or not self._events.empty():
            try:
                left = min(deadline - time.monotonic(), 0.05)
                event = self._events.get(timeout=max(left, 0.001))
            except queue.Empty:
                if time.monotonic() > deadline:
                    break
                continue
            if isinstance(event, _Request):
                event.prepared.set_result(None)
            elif isinstance(event, Recording) and event.is_finished:
                finished.append(event.block_run)
        return finished

    def _run(self, slot: int, train: TrainBlocks) -> None:
        begin_time = time.perf_counter()
        try:
            for block_run in train(self._ask_for_blocks(slot)):
                is_finished = block_run.is_finished
                if is_finished:
                    block_run.run_seconds = time.perf_counter() - begin_time
                    begin_time = time.perf_counter()
                step, diverged = block_run.history[-1].step, block_run.new_diverged_lanes
                self._events.put(Recording(block_run, step, diverged, is_finished))
        except BaseException as error:  # noqa: BLE001 - the thread of the sweep raises it
            self._events.put(error)
        else:
            self._events.put(None)

    def _ask_for_blocks(self, slot: int) -> Iterator[PreparedBlock]:
        while not self._stop.is_set():
            request = _Request(slot, Future())
            self._events.put(request)
            prepared = self._wait_for(request)
            if prepared is None:
                return
            yield prepared

    def _wait_for(self, request: _Request) -> PreparedBlock | None:
        """Return the block for a request; None if there is none, or the training ends.

        A signal may interrupt the thread that serves the request, which then gets no answer.
        """
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                return request.prepared.result(_SECONDS_BETWEEN_LOOKS)
        return None
