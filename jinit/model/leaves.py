"""The parameters of a model, with what the computation does to each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from jinit.model.activations import activation_after
from jinit.model.expression import Activation
from jinit.model.roles import STACKED, UNIT, Use
from jinit.model.walk import Site

_RANK = {"kernel": 0, "embedding": 1, "unread": 4}


@dataclass(frozen=True)
class Leaf:
    """One parameter array: where it lives, what it looks like, and what it does.

    A parameter with several uses is described by one of them: a product with a signal comes
    before a lookup, a lookup before a bias or scale, and of equals the first counts. A tied
    embedding is therefore a kernel, with the features as its inputs.
    """

    path: str
    shape: tuple[int, ...]
    dtype: Any
    role: str = "unused"
    """`kernel`, `embedding`, `position` (a table that is added), `bias`, `scale`, `token`, `other`,
    `unused`, `unread`; or `state`."""
    axes: tuple[str, ...] = ()
    """Of every axis: `in`, `out`, `batch`, `spatial`, `lookup`, `stacked` or `unit`."""
    fan_in: float | None = None
    """Products that an output sums over; of a bias, those of the kernel it is added to."""
    fan_out: float | None = None
    """Outputs that an input goes into."""
    groups: int = 1
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    uses: int = 0
    """How many places of the computation it is used in."""
    activation: Activation | None = None
    """What follows a kernel or a lookup; None where that is no function of one or two of them."""


def paths_of(tree: Any) -> tuple[str, ...]:
    """The `/`-joined path of every leaf, in the order of the tree.

    >>> paths_of({"b": 1, "a": {"c": 2}})
    ('a/c', 'b')
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return tuple(jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in flat)


def described(path: str, abstract: Any, sites: Sequence[tuple[int, Site]]) -> tuple[float, Leaf]:
    """A parameter by its place in the execution, from all its uses."""
    shape = tuple(abstract.shape)
    if not sites:
        return float("inf"), Leaf(path, shape, abstract.dtype)
    first = min(number for number, _ in sites)
    _, site = min(sites, key=lambda numbered: (_rank(numbered[1].use), numbered[0]))
    use = site.use
    roles = dict(use.roles)
    rest = [UNIT if size == 1 else STACKED for size in shape]
    axes = tuple(roles.get(axis, other) for axis, other in enumerate(rest))
    leaf = Leaf(
        *(path, shape, abstract.dtype, use.kind, () if use.kind == "unread" else axes),
        *(use.fan_in, use.fan_out, use.groups, use.strides, use.dilation, len(sites)),
        activation_after(site) if use.kind in ("kernel", "embedding") else None,
    )
    return first, leaf


def _rank(use: Use) -> int:
    return _RANK.get(use.kind, 3) if use.direct or use.kind != "kernel" else 2
