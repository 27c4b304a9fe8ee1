"""The parameters of a model, with what the computation does to each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from jinit.model.activation import Activation, PathEnd
from jinit.model.activation_parts import take_apart
from jinit.model.attention import AttentionPart
from jinit.model.axis_roles import STACKED, UNIT
from jinit.model.branches import Branch, Branches
from jinit.model.find_activation import find_activation, find_end
from jinit.model.normalization import follows_normalization
from jinit.model.recurrence import ForgetGate
from jinit.model.roles import Role, Use
from jinit.model.used_weights import UsedWeight, read_used_weight
from jinit.model.uses import Site

_PRIORITY = {"kernel": 0, "embedding": 1, "unread": 3}
"""Which of several uses describes a parameter: the smallest; see `_use_priority` for the others."""


@dataclass(frozen=True)
class Leaf:
    """One parameter array: its path, its shape, and its part in the computation.

    A parameter with several uses is described by one of them. Products with a signal come first,
    then lookups, products with another parameter, uses that cannot be read, and all others; ties go
    to the first use. A tied embedding is therefore a kernel, with the features as its inputs.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> params = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}
    >>> model = trace(lambda p, x: jnp.tanh(x @ p["w"] + p["b"][None]), params, jnp.ones((8, 4)))
    >>> kernel, bias = model.leaves
    >>> kernel.role, kernel.axes, kernel.fan_in, kernel.fan_out
    ('kernel', ('in', 'out'), 4, 3)
    >>> bias.role, bias.fan_in, bool(kernel.activation(0.5) == jnp.tanh(0.5))
    ('bias', 4, True)
    """

    path: str
    """The keys of the tree of parameters, joined by `/`, such as `params/Dense_0/kernel`."""
    shape: tuple[int, ...]
    dtype: Any
    role: Role = "unused"
    """`kernel`, `embedding`, `position` (a table that is added), `bias`, `scale`, `token`, `other`,
    `unused`, `unread` (its use cannot be followed) or `state` (it is not trained)."""
    axes: tuple[str, ...] = ()
    """Role of every axis: `in`, `out`, `batch`, `spatial`, `lookup`, `stacked` or `unit`; two roles
    joined by `·` if an axis is split. Empty if the use cannot be read."""
    fan_in: float | None = None
    """Number of products that an output sums over; for a bias, that of the kernel it is added to.
    """
    fan_out: float | None = None
    """Number of outputs that an input contributes to."""
    groups: int = 1
    """Groups of a convolution."""
    strides: tuple[int, ...] = ()
    """Strides of a convolution."""
    dilation: tuple[int, ...] = ()
    """Spacing of a convolution's inputs: the stride of a transposed convolution."""
    use_count: int = 0
    """Number of places in the computation where it is used."""
    activation: Activation | None = None
    """The function that follows a kernel or a lookup; None if it is not a function of one or two
    of its outputs."""
    end: PathEnd | Literal[""] = ""
    """How the elementwise path after a kernel or scale ends (see `Activation.end`)."""
    branch: int | None = None
    """Number of the residual branch that a kernel belongs to; a branch in a loop counts once."""
    stream: int | None = None
    """Number of the residual stream that this branch is added to."""
    branch_count: int | None = None
    """Number of branches that are added to that residual stream; one in a loop counts once per
    iteration."""
    branch_normalized: bool = False
    """Whether that residual stream is normalized after each sum, before anything else reads it."""
    weight_factor: float = 1.0
    """The constant c > 0 of the weight c·w that the signal meets, where w is the parameter; 1 if it
    is normalized. Constants on the signal just before its product with w count too, those
    after a nonlinear activation included (its `output_scale`); those after a linear one are in its
    `input_scale`. An array of constants, such as a mask, counts as its root mean square."""
    normalized_by: str = ""
    """How the weight that is used is normalized, such as `weight normalization`: it does not change
    when the parameter is multiplied by a positive number. Empty if it does."""
    normalized_rms: float | None = None
    """Root mean square of the entries of a normalized weight, per unit of the parameter that
    scales it; None if the weight is not normalized, or this cannot be computed."""
    scale_path: str = ""
    """Path of the parameter that scales a normalized weight; empty if there is none."""
    carries: str = ""
    """Path of the normalized weight that this parameter scales; empty if there is none."""
    chain_length: int = 1
    """Number of layers, each followed by an activation, of the chain that a kernel is part of: only
    an activation or pooling lies between one layer of a chain and the next."""
    begins_chain: bool = True
    """Whether no other layer of its chain is before it."""
    bias_path: str = ""
    """Path of the bias that is added to a kernel's result; empty if there is none."""
    reason: str = ""
    """Why the role is `unread`, as a clause; empty if it can be said of no single operation."""
    attention: tuple[AttentionPart, ...] = ()
    """Parts of a kernel in attention; several if it computes queries, keys and values."""
    is_normalization: bool = False
    """Whether it is the scale or the bias of a normalization."""
    rescaled_by: str = ""
    """Path of the scale of the normalization that follows a kernel, which sets the size of the
    kernel's result; empty if there is none."""
    is_recurrent: bool = False
    """Whether a kernel leads from a value that a loop carries to the next one, the same in all
    iterations."""
    forget_gate: ForgetGate | None = None
    """The units of a bias that are added into a forget gate; None if it is not certain."""
    is_tied: bool = False
    """Whether a kernel is also a table that is looked up, such as a tied embedding."""

    @property
    def attention_role(self) -> str:
        """`query`, `key`, `value` or `output`; joined by `·` if several; empty if none."""
        return "·".join(part.role for part in self.attention)

    @property
    def stacked_layers(self) -> int:
        """Number of layers that the parameter holds, one per iteration of a loop."""
        sizes = zip(self.shape, self.axes, strict=False)
        return math.prod(size for size, role in sizes if role == STACKED)

    @property
    def ends_branch(self) -> bool:
        """Whether it is the last kernel of a residual branch and its scale reaches the sum."""
        after = self.activation
        return after is not None and after.end == "residual" and not after.has_normalization


def read_leaf(
    path: str,
    abstract: Any,
    sites: Sequence[Site],
    branches: Branches,
) -> Leaf:
    """Return a parameter with what its uses say about it.

    Args:
      path: its path.
      abstract: its shape and dtype.
      sites: its uses, in execution order.
      branches: the residual branches of the computation.
    """
    shape = tuple(abstract.shape)
    if not sites:
        return Leaf(path, shape, abstract.dtype)
    site = choose_use(sites)
    used = read_used_weight(site)
    use = Use(site.use.leaf, "unread") if _is_unread(site, used) else site.use
    residual_streams = branches.residual_streams[site.scope]
    has_activation = site.is_contraction or use.role == "embedding"
    activation = _read_activation(site, residual_streams) if has_activation else None
    end: PathEnd | Literal[""] = ""
    if use.role == "scale":
        end = find_end(site, residual_streams)
    elif activation is not None and use.role == "kernel":
        end = activation.end
    return Leaf(
        path=path,
        shape=shape,
        dtype=abstract.dtype,
        role=use.role,
        axes=() if use.role == "unread" else _read_axes(use, shape),
        fan_in=use.fan_in,
        fan_out=use.fan_out,
        groups=use.groups,
        strides=use.strides,
        dilation=use.dilation,
        use_count=len(sites),
        activation=activation,
        end=end,
        weight_factor=used.factor,
        normalized_by=used.normalized_by,
        normalized_rms=used.normalized_rms,
        reason=used.reason if use.role == "unread" else "",
        is_normalization=follows_normalization(site, residual_streams),
        is_tied=use.role == "kernel" and any(site.use.role == "embedding" for site in sites),
        **_branch_fields(branches.by_kernel.get((site.scope, site.position))),
    )


def choose_use(sites: Sequence[Site]) -> Site:
    """Return the use that describes a parameter; one that can be read if there is one."""
    if len(sites) == 1:
        return sites[0]
    return min(
        sites,
        key=lambda site: (
            _PRIORITY["unread"]
            if _is_unread(site, read_used_weight(site))
            else _use_priority(site.use)
        ),
    )


def _is_unread(site: Site, used: UsedWeight) -> bool:
    return bool(used.reason) and site.use.role not in ("other", "unused")


def _read_activation(site: Site, residual_streams: Mapping[int, int]) -> Activation | None:
    activation = find_activation(site, residual_streams)
    return activation and replace(activation, take_apart=take_apart)


def _branch_fields(branch: Branch | None) -> dict[str, Any]:
    if branch is None:
        return {}
    return {
        "branch": branch.number,
        "stream": branch.stream,
        "branch_count": branch.branch_count,
        "branch_normalized": branch.is_normalized,
    }


def _read_axes(use: Use, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the roles of all axes; axes without a role are copies, or of size one."""
    roles = dict(use.axis_roles)
    return tuple(roles.get(axis, UNIT if size == 1 else STACKED) for axis, size in enumerate(shape))


def _use_priority(use: Use) -> int:
    return _PRIORITY.get(use.role, 4) if use.is_direct or use.role != "kernel" else 2
