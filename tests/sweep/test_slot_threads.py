"""Threads that train blocks end when the thread that serves them is interrupted."""

import threading
import time

import pytest

from jinit.sweep.slot_threads import SlotThreads

LONG = 20.0


def train(blocks):
    """Train nothing, but ask for all blocks."""
    list(blocks)
    return iter(())


def test_a_request_that_was_not_answered_does_not_delay_the_end():
    """A signal comes while a block is prepared."""

    def prepare(slot):
        raise KeyboardInterrupt

    threads = SlotThreads([train, train, train], threading.Event())
    with pytest.raises(KeyboardInterrupt):
        next(threads.recordings(prepare, lambda: None))
    begin = time.monotonic()
    assert threads.end(LONG) == []
    assert time.monotonic() - begin < LONG / 2


def test_a_request_that_was_lost_does_not_delay_the_end():
    """A signal comes after a request was taken from the queue, and before it is served."""

    class LosingQueue:
        def __init__(self, queue):
            self.queue, self.has_lost = queue, False

        def get(self, **options):
            event = self.queue.get(**options)
            if not self.has_lost:
                self.has_lost = True
                raise KeyboardInterrupt
            return event

        def put(self, event):
            self.queue.put(event)

        def empty(self):
            return self.queue.empty()

    threads = SlotThreads([train, train], threading.Event())
    threads._events = LosingQueue(threads._events)
    with pytest.raises(KeyboardInterrupt):
        next(threads.recordings(lambda slot: None, lambda: None))
    begin = time.monotonic()
    assert threads.end(LONG) == []
    assert time.monotonic() - begin < LONG / 2
