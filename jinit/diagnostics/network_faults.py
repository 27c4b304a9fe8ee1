"""Faults of a whole network: of its inputs, and of its loss."""

import math
from collections.abc import Sequence

from jinit.diagnostics.rows import Row

_NOTED, _TOO_LARGE = 5.0, 25.0
"""RMS of the inputs that is mentioned, and that is a fault: pixels from 0 to 255 have more."""
_FAR = 10.0
"""Times the loss of guessing, from which on it is a fault."""


def of_whole(loss_name: str, loss: float, chance: float, rows: Sequence[Row]) -> tuple[str, str]:
    """A verdict, and what there is to say, if anything; `chance` is the loss of guessing."""
    if not math.isfinite(loss):
        broken = any(row.found.made.broken for row in rows)
        what = "" if broken else f"the loss is {loss}: look at the targets and at {loss_name}"
        return "overflowing", what
    if rows and all(row.found.back.total == 0 for row in rows):
        return "vanishing", (
            "no layer receives any gradient: the loss is flat, or something on its way stops the "
            "gradient, such as argmax, rounding or stop_gradient"
        )
    size = math.sqrt(rows[0].found.taken.second) if rows else 0.0
    word = "misscaled" if loss > _FAR * chance else "stable"  # the loss itself is in the notes
    if not size > _NOTED:
        return word, ""
    return "misscaled" if size > _TOO_LARGE and not rows[0].is_normalized else word, (
        f"the inputs have RMS {size:.3g}, and initializers count on about 1: scale them to mean 0 "
        "and standard deviation 1"
    )
