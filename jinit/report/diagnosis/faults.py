"""The faults of a diagnosis, grouped by cure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinit.report.text import escape_unprintable

LayerData = Mapping[str, Any]
"""One layer of `Diagnosis.to_dict()`."""

VERDICT_MEANINGS = {
    "overflowing": "numbers exceed the range of their dtype and become infinite or NaN",
    "underflowing": "gradients are too small for their dtype and become zero",
    "symmetric": "units, layers or weights are equal, and equal gradients keep them equal",
    "dead": "a gradient is zero and stays zero, so that units or parameters never learn",
    "saturated": "activations are at their limits, where their slope and the gradient are zero",
    "exploding": "signal or gradient grows from layer to layer, and training diverges",
    "vanishing": "signal or gradient decays from layer to layer, and distant layers hardly learn",
    "chaotic": "gradients grow from layer to layer, and similar inputs become unrelated",
    "collapsed": "all inputs give nearly the same result, so later layers cannot separate them",
    "frozen": "the optimizer's first update is lost when the parameter is rounded to its dtype",
    "misscaled": "the scale of weights, inputs or outputs does not fit the network",
    "stable": "signal and gradient pass through all layers as in a healthy network",
}

_CHAIN_VERDICTS = ("exploding", "vanishing", "chaotic", "collapsed")


@dataclass(frozen=True)
class FaultGroup:
    """Layers with one kind of fault and one cure. All texts are safe to print.

    >>> layer = {"path": "k", "verdict": "dead", "cause": "no input", "cure": "give one"}
    >>> group_faults([layer], [layer])[0].where
    'k'
    """

    verdict: str
    """The worst verdict in the group."""
    where: str
    """First and last layer, in execution order."""
    cause: str
    """Cause at the first layer with that verdict."""
    cure: str
    """Empty if jinit knows no cure."""


def group_faults(faults: Sequence[LayerData], layers: Sequence[LayerData]) -> list[FaultGroup]:
    """Return the faults of a diagnosis in groups, the worst first.

    The faults of a group have one cure. They have one verdict, or several that a chain of layers
    causes together.

    Args:
      faults: the layers with a fault, the worst first.
      layers: all layers, in execution order.
    """
    numbers = {layer["path"]: number for number, layer in enumerate(layers)}
    groups: dict[tuple[str, str], list[LayerData]] = {}
    for fault in faults:
        kind = "chain" if fault["verdict"] in _CHAIN_VERDICTS else fault["verdict"]
        groups.setdefault((kind, fault["cure"] or fault["cause"]), []).append(fault)
    return [
        _fault_group(
            members[0]["verdict"],
            sorted(members, key=lambda fault: numbers.get(fault["path"], 0)),
        )
        for members in groups.values()
    ]


def _fault_group(verdict: str, members: Sequence[LayerData]) -> FaultGroup:
    """Return the group of faults in execution order; `verdict` is the worst of them."""
    first, last = (escape_unprintable(members[place]["path"]) for place in (0, -1))
    worst = next(fault for fault in members if fault["verdict"] == verdict)
    return FaultGroup(
        verdict=verdict,
        where=first if len(members) == 1 else f"{first} … {last} ({len(members)} layers)",
        cause=escape_unprintable(worst["cause"]),
        cure=escape_unprintable(worst["cure"]),
    )


def share_notes(shares: Mapping[str, float]) -> list[str]:
    """Return a note with the fraction of initializations by verdict; none without `seeds`.

    >>> share_notes({"stable": 0.75, "dead": 0.25})
    ['of all initializations: 75 % stable, 25 % dead']
    """
    text = ", ".join(f"{100 * share:.3g} % {verdict}" for verdict, share in shares.items())
    return [f"of all initializations: {text}"] if shares else []


def rate_line(data: Mapping[str, Any]) -> str:
    """Return what a diagnosis says about the learning rate, safe to print; empty without one.

    >>> rate_line({"learning_rate": {"verdict": "too large", "sentence": "divide it by 9"}})
    'learning rate too large: divide it by 9'
    """
    rate = data.get("learning_rate")
    verdict = "at its limit" if is_rate_at_limit(data) else rate["verdict"] if rate else ""
    return escape_unprintable(f"learning rate {verdict}: {rate['sentence']}") if rate else ""


def is_rate_at_limit(data: Mapping[str, Any]) -> bool:
    """Return whether a learning rate is fine, and yet raises the loss in its first step.

    >>> is_rate_at_limit({"learning_rate": {"verdict": "fine", "multiplier": 0.5}})
    True
    """
    rate = data.get("learning_rate")
    return bool(rate) and rate["verdict"] == "fine" and (rate.get("multiplier") or 1) < 1


def has_fine_rate(data: Mapping[str, Any]) -> bool:
    """Return False if a diagnosis says that the learning rate needs a change.

    >>> has_fine_rate({"learning_rate": {"verdict": "too large"}}), has_fine_rate({})
    (False, True)
    """
    rate = data.get("learning_rate")
    return not rate or rate["verdict"] in ("fine", "unknown")


def note_lines(data: Mapping[str, Any]) -> list[str]:
    """Return all remarks of a diagnosis, safe to print.

    >>> note_lines({"shares": {}, "notes": ["the inputs are large"]})
    ['the inputs are large']
    """
    return [escape_unprintable(note) for note in (*share_notes(data["shares"]), *data["notes"])]
