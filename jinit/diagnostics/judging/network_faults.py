"""Faults of a whole network: its inputs, its loss, its gradient."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import LARGE_INPUT_RMS, MAX_INPUT_RMS, MAX_LOSS_RATIO


class NetworkFinding(NamedTuple):
    """The verdict on a whole network, and a note about it; empty if there is nothing to say."""

    verdict: str
    note: str = ""


def judge_network(
    loss_name: str, loss: float, chance: float, rows: Sequence[LayerRow]
) -> NetworkFinding:
    """Return the verdict that does not depend on a single layer.

    Args:
      loss_name: name of the loss, for messages.
      loss: value of the loss.
      chance: loss of a uniform guess; infinite where there is none.
      rows: the layers in execution order.
    """
    if not math.isfinite(loss):
        is_explained = any(row.statistics.preactivation.nonfinite for row in rows)
        note = "" if is_explained else f"the loss is {loss}: look at the targets and at {loss_name}"
        return NetworkFinding("overflowing", note)
    if rows and all(row.statistics.gradient.total == 0 for row in rows):
        note = (
            "no layer receives a gradient: the loss is constant, or an operation such as argmax, "
            "rounding or stop_gradient stops the gradient"
        )
        return NetworkFinding("vanishing", note)
    # The notes of the diagnosis already state a loss that is too large.
    has_large_loss = loss > MAX_LOSS_RATIO * chance
    input_rms = math.sqrt(rows[0].statistics.input.second) if rows else 0.0
    has_large_inputs = input_rms > MAX_INPUT_RMS and not rows[0].is_normalized
    note = (
        f"the inputs have RMS {input_rms:.3g}, but initializers assume about 1: scale them to "
        "mean 0 and standard deviation 1"
    )
    return NetworkFinding(
        "misscaled" if has_large_loss or has_large_inputs else "stable",
        note if input_rms > LARGE_INPUT_RMS else "",
    )
