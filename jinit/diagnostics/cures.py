"""Why a kernel does not fit, in words, and what to write instead, as a line of code."""

import math
from functools import lru_cache

from jinit.diagnostics.audit import misread
from jinit.diagnostics.rows import Row
from jinit.model import Activation, names_of
from jinit.theory import ACTIVATIONS, moments, steady

_NAMED = {1.0: "jinit.lecun_normal()", 2.0: "jinit.he_normal()"}
_SAME = 1e-3
"""Variances closer than this share are the same."""
_ANOTHER = "nn.tanh with kernel_init=jinit.lecun_normal()"


def name_of(activation: Activation | None) -> str:
    """What an activation is called."""
    if activation is None:
        return "what follows"
    return "identity" if activation.is_identity else _names().get(activation.text, "its activation")


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    return names_of(ACTIVATIONS)


def needed(row: Row) -> tuple[float, float] | None:
    """(σ_w², σ_b²) that keep signal and gradient alive layer after layer; None if nothing does."""
    after = row.leaf.activation
    if after is None or not row.is_plain or after.is_identity:
        return 1.0, 0.0
    return steady(after)


def kernel_line(row: Row) -> str:
    """How to start a kernel, as arguments of a layer."""
    point = needed(row)
    if point is None:
        return f"{_ANOTHER} instead of {name_of(row.leaf.activation)}"
    sigma_w2, sigma_b2 = point
    names = [name for each, name in _NAMED.items() if abs(sigma_w2 / each - 1) < _SAME]
    scaled = f'jinit.variance_scaling({sigma_w2:.4g}, "fan_in", "truncated_normal")'
    line = f"kernel_init={names[0] if names else scaled}"
    return f"{line}, bias_init=jinit.normal({math.sqrt(sigma_b2):.3g})" if sigma_b2 else line


def _does(row: Row) -> str:
    """What an activation does that has no steady start."""
    phi = row.leaf.activation
    grows = phi is not None and moments(phi).chi > 1
    return "makes the gradient grow" if grows else "shrinks the gradient"


def mismatch(row: Row) -> str:
    """What its gain is, what it should be, and why it is not, as far as that can be told."""
    gain, point = math.sqrt(row.gain2), needed(row)
    if row.weight.mean**2 > row.weight.second / 2:
        return f"its weights have mean {row.weight.mean:.3g}, not zero, so that its units are alike"
    fan = misread(row.leaf, math.sqrt(max(row.weight.second - row.weight.mean**2, 0.0)))
    if fan:
        return fan
    follows = name_of(row.leaf.activation)
    if point is None:
        return f"{follows} {_does(row)} at any gain that keeps the signal"
    wants = "is what keeps the signal" if follows == "identity" else f"is what {follows} needs"
    return f"its gain √(fan_in · mean w²) is {gain:.3g}, where {math.sqrt(point[0]):.3g} {wants}"
