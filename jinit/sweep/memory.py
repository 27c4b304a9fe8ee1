"""Memory of the devices, and errors that say it is exhausted."""

import os
from collections.abc import Sequence
from typing import Any

# Share of the memory that the lanes of a block may take: the rest is for data, programs and the
# lanes of the next block.
_SHARE = 0.5


def slot_bytes(slots: Sequence[Any]) -> float | None:
    """Return the bytes that the lanes of a block may take; None if it is unknown.

    Args:
      slots: the device of every slot. Those of a CPU share its memory.
    """
    if slots[0].platform != "cpu":
        stats = slots[0].memory_stats() or {}
        return _SHARE * stats["bytes_limit"] if "bytes_limit" in stats else None
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None
    return _SHARE * total / len(slots)


def is_exhausted(error: BaseException) -> bool:
    """Return whether an error says that memory is exhausted.

    >>> is_exhausted(RuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    True
    """
    return isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
