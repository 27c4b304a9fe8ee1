"""What to write instead, as a line of code."""

import math
from functools import lru_cache

from jinit.diagnostics.rows import Row
from jinit.model import Activation, names_of
from jinit.theory import ACTIVATIONS, steady

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
