"""The parameters of a model, with what the computation does to each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinit.model.activations import activation_after, end_after
from jinit.model.expression import Activation
from jinit.model.roles import STACKED, UNIT, Use
from jinit.model.walk import Site

_RANK = {"kernel": 0, "embedding": 1, "unread": 3}


@dataclass(frozen=True)
class Leaf:
    """One parameter array: where it lives, what it looks like, and what it does.

    A parameter with several uses is described by one of them: a product with a signal comes
    before a lookup, a lookup before one that cannot be read, that before a bias or scale; of equals
    the first counts. A tied embedding is therefore a kernel, with the features as its inputs.
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
    end: str = ""
    """Of a kernel or scale, in what the elementwise path behind it ends, as in `activation`."""
    branch: int | None = None
    """Number of the residual branch that a kernel lies in; a loop's branches count once."""


def described(
    path: str,
    abstract: Any,
    sites: Sequence[tuple[int, Site]],
    branches: Sequence[int | None],
    streams: Mapping[int, Mapping[int, int]],
) -> tuple[float, Leaf]:
    """A parameter by its place in the execution, from all its uses.

    `sites` are numbered; `branches` has the branch of every number, and `streams` those of the
    residual sums, by the identity of a site's values.
    """
    shape = tuple(abstract.shape)
    if not sites:
        return float("inf"), Leaf(path, shape, abstract.dtype)
    first = min(number for number, _ in sites)
    number, site = min(sites, key=lambda numbered: (_rank(numbered[1].use), numbered[0]))
    use, around = site.use, streams[id(site.values)]
    roles = dict(use.roles)
    rest = [UNIT if size == 1 else STACKED for size in shape]
    axes = tuple(roles.get(axis, other) for axis, other in enumerate(rest))
    after = activation_after(site, around) if site.contracts or use.kind == "embedding" else None
    end = after.end if after and use.kind == "kernel" else ""
    if use.kind == "scale":
        end = end_after(site, around)
    leaf = Leaf(
        *(path, shape, abstract.dtype, use.kind, () if use.kind == "unread" else axes),
        *(use.fan_in, use.fan_out, use.groups, use.strides, use.dilation, len(sites)),
        *(after, end, branches[number]),
    )
    return first, leaf


def _rank(use: Use) -> int:
    return _RANK.get(use.kind, 4) if use.direct or use.kind != "kernel" else 2
