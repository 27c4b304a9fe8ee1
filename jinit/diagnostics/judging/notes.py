"""Remarks about a network that are not faults."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jinit.diagnostics.judging.dead_faults import cut_note
from jinit.diagnostics.judging.input_faults import input_note
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.network_faults import NetworkCase
from jinit.theory import initial_loss

_FADED = 1e-3
"""Ratio of the gradients of the second and the last iteration of a loop that is worth a note."""


def find_notes(network: NetworkCase) -> list[str]:
    """Return the remarks about a network, some of them empty."""
    case = network.layers
    notes = [input_note(case), cut_note(case.parameters), *map(_copies_note, case.layers)]
    notes += _fading_notes(case.layers)
    if not case.layers:
        notes.append("jinit found no kernel that is applied to a signal: nothing was measured")
    if network.unread:
        products = "product" if network.unread == 1 else "products"
        notes.append(
            f"not measured: {network.unread} {products} inside branches, custom derivatives or "
            "while loops"
        )
    notes += [f"measured as one product: {', '.join(paths)}" for paths in network.joined_kernels]
    if network.complex_kernels:
        notes.append(f"not measured, as complex: {', '.join(network.complex_kernels)}")
    if math.isfinite(network.chance) and math.isfinite(network.loss):
        notes.append(_loss_note(network))
    return notes


def _fading_notes(rows: Sequence[LayerRow]) -> list[str]:
    """Return a note for each loop whose early iterations hardly reach the loss.

    This is no fault: a recurrence with a short memory learns what needs no longer one.
    """
    totals: dict[Any, tuple[str, np.ndarray]] = {}
    for row in rows:
        if row.iteration_sizes is not None:
            path, total = totals.get(row.contraction.place[:-1], (row.path, np.zeros(1)))
            total = total + row.iteration_sizes.gradient_total
            totals[row.contraction.place[:-1]] = path, total
    return [_fading_note(path, total) for path, total in totals.values()]


def _fading_note(path: str, total: np.ndarray) -> str:
    """Return a note about a loop, from the squared gradients of its iterations; empty for none."""
    if len(total) < 3:
        return ""
    second, last = float(total[1]), float(total[-1])  # the state of the first may be zero
    if not last > 0 or not second < _FADED**2 * last:
        return ""
    size = f"{math.sqrt(second / last):.1g} times that at the last one" if second else "zero"
    return (
        f"{path}: the gradient at the second of {len(total)} iterations of its loop is {size}: "
        "what happens early hardly reaches the loss, which matters only if the task needs it; "
        f"orthogonal recurrent kernels and jinit.chrono({len(total)}) for the forget-gate bias "
        "keep more"
    )


def _copies_note(row: LayerRow) -> str:
    """Return a note about units that are copies but learn differently; empty without any."""
    count = row.equal_counts.weights[0]
    if not count or row.weight.value_range == 0 or row.equal_counts.both[0]:
        return ""
    are_copies = "unit has" if count == 1 else "units have"
    return (
        f"{row.path}: {count} {are_copies} the same weights as another unit; their gradients "
        "differ, so that training separates them"
    )


def _loss_note(network: NetworkCase) -> str:
    """Return a comparison of the loss with that of a uniform guess."""
    classes, std = network.classes, float(network.outputs.std)
    theory = f" (theory: loss {initial_loss(classes, std):.4g})" if std < 1 else ""
    return (
        f"the loss is {network.loss:.4g}, that of a uniform guess ln {classes} = "
        f"{network.chance:.4g}; the logits have standard deviation {std:.3g}{theory}"
    )
