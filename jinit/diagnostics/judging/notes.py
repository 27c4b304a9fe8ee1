"""Remarks about a network that are not faults."""

import math
from collections.abc import Sequence

from jinit.diagnostics.judging.dead_faults import cut_note
from jinit.diagnostics.judging.finding import Case
from jinit.diagnostics.judging.input_faults import input_note
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.network_faults import NetworkCase
from jinit.diagnostics.judging.recurrent_faults import find_fading, loop_rows
from jinit.gains import needed_gate_bias
from jinit.theory import initial_loss


def find_notes(network: NetworkCase) -> list[str]:
    """Return the remarks about a network, some of them empty."""
    case = network.layers
    notes = [input_note(case), cut_note(case.parameters), *map(_copies_note, case.layers)]
    notes += _fading_notes(case)
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


def _fading_notes(case: Case) -> list[str]:
    """Return a note for each loop whose early iterations hardly reach the loss.

    This is no fault by itself: a recurrence with a short memory learns what needs no longer one.
    """
    gates = {path: needed_gate_bias(leaf) for path, leaf in case.parameters.leaves.items()}
    zeros = [
        path
        for path, gate in gates.items()
        if gate is not None and path in case.parameters.weights and _is_zero(case, path)
    ]
    loops = loop_rows(case.layers).values()
    return [_fading_note(rows, zeros if len(loops) == 1 else []) for rows in loops]


def _is_zero(case: Case, path: str) -> bool:
    return case.parameters.weights[path].is_zero


def _fading_note(rows: Sequence[LayerRow], zero_gates: Sequence[str]) -> str:
    """Return a note about the layers of a loop; empty if the gradient does not fade."""
    fading = find_fading(rows)
    if fading is None:
        return ""
    size = f"{fading.ratio:.1g} times that at the last one" if fading.ratio else "zero"
    first = f"a forget bias of 1 for {zero_gates[0]}, " if zero_gates else ""
    return (
        f"{rows[0].path}: the gradient at the second of {fading.iterations} iterations of its loop "
        f"is {size}: what happens early hardly reaches the loss, which matters only if the task "
        f"needs it; {first}orthogonal recurrent kernels and "
        f"jinit.chrono({fading.iterations}) for the forget-gate bias keep more"
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
