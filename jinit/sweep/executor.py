"""How the lanes of a block are computed."""

import re
from typing import NamedTuple

from jinit.choice import check_choice

_KINDS = ("auto", "measured", "map", "vmap", "loop")


class Executor(NamedTuple):
    """How the lanes of a block are computed."""

    kind: str
    """One of `auto`, `measured`, `map`, `vmap` and `loop`."""
    lanes: int | None
    """Lanes computed together; None to choose them."""


AUTO = Executor("auto", None)


def parse_executor(text: str) -> Executor:
    """Return the executor that a user asked for.

    - `map`: a compiled loop over lanes, one after the other.
    - `vmap` and `vmap(8)`: lanes computed together, a chosen number of them or as many as given.
    - `loop`: Python dispatches every step of every lane, for what XLA computes slowly inside loops.
    - `measured`: some steps of each of these are timed, and the fastest is taken.
    - `auto`: a rule for networks of this size and kind; `measured` for long sweeps on CPU.

    Args:
      text: one of these.

    Raises:
      TypeError: if it is not a string.
      ValueError: if it is none of these.

    >>> parse_executor("vmap(8)")
    Executor(kind='vmap', lanes=8)
    """
    if not isinstance(text, str):
        raise TypeError(f"executor: expected a string such as 'map' or 'vmap(8)', got {text!r}")
    if match := re.fullmatch(r"vmap\((\d+)\)", text):
        if int(match[1]) < 1:
            raise ValueError(f"executor={text!r}: expected at least 1 lane")
        return Executor("vmap", int(match[1]))
    kind = check_choice("executor", text, (*_KINDS, "vmap(8)"))
    return Executor(kind, 1 if kind in ("map", "loop") else None)
