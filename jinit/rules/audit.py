"""What a model starts from now, and what is wrong with it."""

import math
from dataclasses import dataclass

import jax
import numpy as np

from jinit.initializers.fans import fans
from jinit.model import Leaf, Model
from jinit.rules.fast import fast_init
from jinit.rules.fitting import give_axes

_NEAR = 1.15
"""Two standard deviations closer than this factor count as the same."""


@dataclass(frozen=True)
class Present:
    """What one parameter starts from."""

    std: float
    """Root mean square about the mean."""
    constant: bool
    twin: str
    """Path of an earlier parameter with equal values, if there is one."""


def present(model: Model) -> dict[str, Present]:
    """Statistics of one draw by the model's own initializers and keys."""
    if model.init is None:
        raise ValueError("present: the model does not know its own initializers")
    drawn = jax.tree.leaves(fast_init(model.init)(jax.random.key(0)))
    seen: dict[bytes, str] = {}
    found = {}
    for path, values in zip(model.paths, drawn, strict=True):
        array = np.asarray(values, np.float32)
        constant = bool(array.size < 2 or (array == array.flat[0]).all())
        twin = "" if constant else seen.setdefault(array.tobytes(), path)
        found[path] = Present(float(array.std()), constant, "" if twin == path else twin)
    return found


def advice(leaf: Leaf, now: Present, wanted: float | None, branches: int) -> str:
    """What to say of a parameter; empty if there is nothing to say."""
    if now.twin:
        return f"equal to {now.twin}, entry by entry: one key was used twice"
    if leaf.role == "unread":
        return f"jinit cannot read how it is used: {give_axes(leaf)}"
    if leaf.role != "kernel":
        return ""
    if now.constant:
        ends = leaf.activation is not None and leaf.activation.end in ("residual", "output")
        return "" if ends else "constant, so that its units stay alike: draw it"
    if not wanted or _alike(now.std, wanted):
        return ""
    return _cause(leaf, now.std, wanted, branches)


def _cause(leaf: Leaf, std: float, wanted: float, branches: int) -> str:
    """Why a standard deviation is not the one that is wanted, as far as it can be told."""
    root = math.sqrt(leaf.fan_in or 1)
    if branches > 1 and _alike(std, wanted * branches**0.5):
        return f"not scaled for {branches} residual branches: divide it by √{branches}"
    naive = _naive_fan(leaf)
    usual = (1.0, math.sqrt(2), wanted * root)
    by_shape = naive is not None and any(_alike(std * naive**0.5, gain) for gain in usual)
    if by_shape and naive != leaf.fan_in:
        return f"scaled for a fan-in of {naive:g}, but {leaf.fan_in:g} products are summed"
    return f"its gain is {std * root:.3g}, and what follows needs {wanted * root:.3g}"


def _naive_fan(leaf: Leaf) -> float | None:
    """The fan-in that an initializer reads off the shape alone."""
    return fans(leaf.shape).fan_in if len(leaf.shape) > 1 else None


def _alike(one: float, other: float) -> bool:
    return other > 0 and 1 / _NEAR < one / other < _NEAR
