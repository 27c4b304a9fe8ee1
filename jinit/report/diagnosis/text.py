"""A diagnosis as plain text: the verdict, and each fault with its cause and cure."""

from collections.abc import Mapping
from typing import Any

from jinit.report.diagnosis.faults import FaultGroup, group_faults, note_lines, rate_line
from jinit.report.text import escape_unprintable

_MAX_GROUPS = 5


def headline_text(data: Mapping[str, Any]) -> str:
    """Return verdict, number of layers and loss in one line.

    Args:
      data: plain data from `Diagnosis.to_dict()`.

    >>> data = {"verdict": "stable", "layers": [], "loss": 2.3, "loss_name": "cross-entropy"}
    >>> headline_text(data)
    'stable, 0 layers, cross-entropy 2.3'
    """
    count = len(data["layers"])
    faulty = sum(layer["verdict"] != "stable" for layer in data["layers"])
    others = len(data.get("other_faults", ()))
    parts = [
        data["verdict"],
        f"{count} {'layer' if count == 1 else 'layers'}",
        *([f"{faulty} with a fault"] if faulty else []),
        *([_other_text(others)] if others else []),
        loss_text(data),
    ]
    return ", ".join(parts)


def _other_text(count: int) -> str:
    return f"{count} other {'fault' if count == 1 else 'faults'}"


def loss_text(data: Mapping[str, Any]) -> str:
    """Return name and value of the loss.

    >>> loss_text({"loss": None, "loss_name": "mean squared error"})
    'mean squared error not finite'
    """
    loss = data["loss"]
    value = "not finite" if loss is None else f"{loss:.4g}"
    return f"{escape_unprintable(data['loss_name'])} {value}"


def diagnosis_text(data: Mapping[str, Any]) -> str:
    """Return the text of a diagnosis.

    Args:
      data: plain data from `Diagnosis.to_dict()`.

    >>> layer = {"path": "k", "verdict": "dead", "cause": "no input", "cure": "give one"}
    >>> data = {"verdict": "dead", "layers": [layer], "faults": [layer], "loss": 1.0}
    >>> print(diagnosis_text(data | {"loss_name": "loss", "notes": [], "shares": {}}))
    dead, 1 layer, 1 with a fault, loss 1
      where  k
      why    no input
      write  give one
    """
    groups = group_faults(data["faults"], data["layers"])
    lines = [headline_text(data)]
    for group in groups[:_MAX_GROUPS]:
        lines += _group_lines(group, data["verdict"])
    if len(groups) > _MAX_GROUPS:
        lines.append(f"  {len(groups) - _MAX_GROUPS} more faults: see diagnosis.table()")
    rate = rate_line(data)
    notes = [*([rate] if rate else []), *note_lines(data)]
    return "\n".join([*lines, *(f"  • {note}" for note in notes)])


def _group_lines(group: FaultGroup, worst: str) -> list[str]:
    lines = [f"  where  {group.where}"]
    if group.verdict != worst:
        lines.append(f"  what   {group.verdict}")
    lines.append(f"  why    {group.cause}")
    if group.cure:
        lines.append(f"  write  {group.cure}")
    return lines
