"""Timing in interleaved rounds, and peak memory of one call."""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Call = Callable[[], object]

# A sample shorter than this is mostly timer and scheduler noise, so short calls are repeated.
SHORTEST_SAMPLE = 5e-3

# OpenMP workers keep spinning for a moment after their work; the next rival must not pay for it.
PAUSE = 10e-3


def seconds(call: Call, repeats: int = 1) -> float:
    """Mean wall-clock seconds of `repeats` calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def repeats_for(call: Call) -> int:
    """How often to call so that one sample lasts at least `SHORTEST_SAMPLE`."""
    call()
    return max(1, round(SHORTEST_SAMPLE / min(seconds(call), seconds(call))))


def interleaved(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Seconds per call of every rival, in rounds A B C A B C …

    The clock of a shared machine drifts by more than the differences of interest; within one
    round it hardly does. Hence ratios are formed inside a round (`paired_ratios`).
    """
    repeats = {name: repeats_for(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(PAUSE)
            samples[name].append(seconds(call, repeats[name]))
    return samples


def paired_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Ratios formed round by round, so that a drift common to both cancels."""
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def median(values: Sequence[float]) -> float:
    """The median, which one disturbed round does not move."""
    return statistics.median(values)


def middle_half(values: Sequence[float]) -> tuple[float, float]:
    """First and third quartile, the spread printed beside a median."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def peak_growth(call: Call) -> int:
    """Bytes by which the resident set grew above its present size, at the worst instant of `call`.

    On Linux the kernel's high-water mark is reset just before the call. `ru_maxrss` is only the
    fall-back: it cannot be reset, and on Linux a new process inherits its parent's, so that a
    large parent hides the growth of a small child altogether.
    """
    reset = _reset_high_water_mark()
    before = _status_bytes("VmRSS") if reset else _largest_resident_set()
    result = call()
    after = _status_bytes("VmHWM") if reset else _largest_resident_set()
    del result
    return after - before


def _reset_high_water_mark() -> bool:
    """Set the high-water mark to the present size; False where the system has no such thing."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_resident(process: int) -> int:
    """Largest resident set of a process since it started, in bytes (its children not counted)."""
    return _status_bytes("VmHWM", process)


def _status_bytes(field: str, process: int | str = "self") -> int:
    """A size from /proc/self/status, in bytes."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise ValueError(f"/proc/{process}/status has no field {field!r}")


def _largest_resident_set() -> int:
    """`ru_maxrss` in bytes: the system reports kilobytes, except macOS."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def load() -> list[float] | None:
    """Load average over 1, 5 and 15 minutes; None where the system has none."""
    return [round(each, 2) for each in os.getloadavg()] if hasattr(os, "getloadavg") else None


def busy() -> str | None:
    """A warning if other work is running on this machine, which no pairing can repair."""
    if not hasattr(os, "getloadavg") or os.getloadavg()[0] < 0.5:
        return None
    return f"load average {os.getloadavg()[0]:.2f} before the start: other work is running"
