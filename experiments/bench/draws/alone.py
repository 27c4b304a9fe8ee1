"""Measurements of one draw in a fresh process."""

import statistics
import time

import measure

import draws

TINY = (2, 2)

# XLA frees buffers on a thread of its own, a moment after the call that used them has returned.
SETTLE = 0.2


def first_call(library: str, distribution: str, shape: list[int], dtype: str) -> dict:
    """Seconds to the first array once the backend runs, tracing and compiling included."""
    try:
        rival = draws.library(library)
        rival.start()
        return {"seconds": measure.seconds(lambda: _draw(rival, distribution, shape, dtype))}
    except draws.UnsupportedError as reason:
        return {"unsupported": str(reason)}


def memory(library: str, distribution: str, shape: list[int], dtype: str) -> dict:
    """Peak growth of the resident set in the first and in a later call, and XLA's own figure.

    A tiny draw comes first, so that code pages and the backend's pools are already there.
    """
    try:
        rival = draws.library(library)
        rival.start()
        _draw(rival, distribution, TINY, dtype)
        growth = [_peak_growth(rival, distribution, shape, dtype) for _ in range(4)]
    except draws.UnsupportedError as reason:
        return {"unsupported": str(reason)}
    scratch = getattr(rival, "scratch_bytes", None)
    return {
        "first_call": growth[0],
        "later_call": statistics.median(growth[1:]),
        "xla_temporaries": scratch and scratch(distribution, tuple(shape), dtype),
    }


def _peak_growth(rival, distribution: str, shape: list[int], dtype: str) -> int:
    """Peak growth of one draw, once the buffers of the draw before are free."""
    time.sleep(SETTLE)
    return measure.peak_growth(lambda: _draw(rival, distribution, shape, dtype))


def _draw(rival, distribution: str, shape: list[int] | tuple[int, ...], dtype: str) -> object:
    """Prepare and draw once."""
    return rival.sampler(distribution, tuple(shape), dtype)()
