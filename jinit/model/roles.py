"""How parameters meet signals: the role of each axis there, and the fans."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from jinit.model.axis_roles import BATCH, IN, LOOKUP, OUT, SPATIAL, AxisRole
from jinit.model.operand_roles import OperandRoles
from jinit.model.weight_axes import Segment, Segments, TrackedWeight

Role = Literal[
    "kernel",
    "embedding",
    "position",
    "bias",
    "scale",
    "token",
    "other",
    "unused",
    "unread",
    "state",
]
"""Role of a parameter: a `kernel` is multiplied with a signal and summed over, an `embedding` is
indexed, a `position` table and a `bias` are added, a `scale` multiplies entry by entry, a `token`
is inserted; `unread` means that its use cannot be followed, and `state` is not trained."""
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Use:
    """One place where a parameter meets a signal."""

    leaf: int
    """Index of the parameter."""
    role: Role
    axis_roles: tuple[tuple[int, str], ...] = ()
    """Axes of the parameter with their roles, joined by `·` if an axis has two."""
    fan_in: float | None = None
    """Number of products that one output sums over."""
    fan_out: float | None = None
    """Number of outputs that one input contributes to."""
    groups: int = 1
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    """Spacing of the inputs: the stride of a transposed convolution."""
    output_count: int = 0
    """Number of outputs of a kernel, copies included."""
    is_direct: bool = True
    """Whether the other operand is a signal or a constant, not a parameter."""
    projects_latent: bool = False
    """Whether it is the kernel that projects a latent, such as a learned query."""

    @classmethod
    def embedding(cls, weight: TrackedWeight, roles: Mapping[int, str]) -> "Use":
        """Return the use of a table whose rows are looked up, so that nothing is summed."""
        outputs = [
            segment.size * segment.devices
            for axis in weight.axes or ()
            for segment in axis
            if roles.get(segment.axis) == OUT
        ]
        return cls(
            leaf=weight.leaf,
            role="embedding",
            axis_roles=tuple(sorted(roles.items())),
            fan_in=1,
            fan_out=math.prod(outputs),
        )

    @classmethod
    def right_factor(
        cls, weight: TrackedWeight, free: Sequence[Segment], batch: Mapping[int, str]
    ) -> "Use":
        """Return the use of a kernel that is applied to another parameter.

        Args:
          weight: the kernel.
          free: its segments that are not summed over.
          batch: its batch axes with their role.
        """
        consumed = {axis.axis: axis.role for axis in weight.consumed_axes}
        outputs = [segment.size for segment in free]
        outputs += [axis.size for axis in weight.consumed_axes if axis.role == OUT]
        return cls(
            leaf=weight.leaf,
            role="kernel",
            axis_roles=tuple(
                sorted({**batch, **{segment.axis: OUT for segment in free}, **consumed}.items())
            ),
            fan_in=math.prod(axis.size for axis in weight.consumed_axes if axis.role == IN),
            fan_out=math.prod(outputs),
            is_direct=False,
        )

    @classmethod
    def elementwise(cls, weight: TrackedWeight, role: Role, fan_in: float | None = None) -> "Use":
        """Return the use of a parameter that meets a signal entry by entry."""
        segments = [segment for axis in weight.axes or () for segment in axis if segment.size > 1]
        if weight.factor_kind == "right":
            return cls.right_factor(weight, segments, {})
        if weight.axes is None and role == "scale":
            return cls(weight.leaf, "unread")
        roles: dict[int, str] = {axis.axis: axis.role for axis in weight.consumed_axes}
        roles |= {segment.axis: OUT for segment in segments}
        if LOOKUP in roles.values():  # rows at fixed indices, such as positions
            return cls.embedding(weight, roles)
        return cls(weight.leaf, role, tuple(sorted(roles.items())), fan_in)

    def to_lookup(self) -> "Use":
        """Return the use of a kernel whose signal is a one-hot code: a lookup."""
        roles = tuple((axis, LOOKUP if role == IN else role) for axis, role in self.axis_roles)
        return replace(self, role="embedding", axis_roles=roles, fan_in=1)


def contraction_use(weight: TrackedWeight, layout: OperandRoles) -> Use:
    """Return the use of a parameter in a contraction.

    It is a kernel if the contraction sums over one of its axes, a scale if not, and unread if its
    axes cannot be followed.
    """
    if weight.axes is None or weight.factor_kind == "twin":
        return Use(weight.leaf, "unread")
    pairs, groups = _segment_roles(weight.axes, layout)
    roles: dict[int, str] = {axis.axis: axis.role for axis in weight.consumed_axes}
    for segment, role in pairs:
        roles[segment.axis] = _join_roles(roles.get(segment.axis), role)
    axis_roles, contraction_roles = tuple(sorted(roles.items())), {role for _, role in pairs}
    if weight.factor_kind == "right":
        is_mixed = {IN, OUT} <= contraction_roles
        return Use(weight.leaf, "unread") if is_mixed else _right_factor_use(weight, pairs)
    if weight.factor_kind == "scale":
        return Use(weight.leaf, "scale", axis_roles)
    if not {IN, SPATIAL} & contraction_roles:
        return Use(weight.leaf, "unread" if LOOKUP in roles.values() else "scale", axis_roles)
    sizes = [0 if weight.factor_kind else size for size in layout.shape]
    inputs = [_global_size(weight.axes[axis], sizes[axis]) for axis in layout.axes(IN)]
    inputs += [axis.size for axis in weight.consumed_axes if axis.role == IN]
    outputs = [segment.size * segment.devices for segment, role in pairs if role == OUT]
    outputs += [axis.size for axis in weight.consumed_axes if axis.role == OUT]
    return Use(
        leaf=weight.leaf,
        role="kernel",
        axis_roles=axis_roles,
        fan_in=_exact(math.prod(inputs) * layout.in_window / layout.in_groups),
        fan_out=_exact(math.prod(outputs) * layout.out_window / groups),
        groups=groups,
        strides=layout.strides,
        dilation=layout.dilation,
        output_count=math.prod(segment.size for segment, role in pairs if role in (OUT, BATCH)),
    )


def _segment_roles(
    axes: tuple[Segments, ...], layout: OperandRoles
) -> tuple[list[tuple[Segment, AxisRole]], int]:
    """Return every segment with its role, and the number of groups of one copy."""
    pairs: list[tuple[Segment, AxisRole]] = []
    groups = layout.groups
    for axis, role, size in zip(axes, layout.roles, layout.shape, strict=True):
        roles: list[AxisRole] = [role] * len(axis)
        if role == OUT and len(axis) > 1 and groups % axis[0].size == 0:
            # A convolution under vmap: copies lie along the output channels, one group each.
            groups //= axis[0].size
            roles[0] = BATCH
        if role == OUT and axis:  # kernels that a signal has modulated, one group each
            known = math.prod(segment.size for segment in axis)
            groups //= math.gcd(groups, size // max(known, 1))
        pairs += zip(axis, roles, strict=True)
    return pairs, groups


def sum_use(weight: TrackedWeight, axes: Sequence[int]) -> Use:
    """Return the use of a parameter that is multiplied entry by entry and then summed over axes."""
    pairs = [
        (segment, IN if axis in axes else OUT)
        for axis, segments in enumerate(weight.axes or ())
        for segment in segments
        if segment.size > 1
    ]
    fan_in, fan_out = (
        math.prod(segment.size for segment, role in pairs if role == wanted) for wanted in (IN, OUT)
    )
    is_summed = any(role == IN for _, role in pairs)
    if not is_summed or weight.factor_kind or weight.consumed_axes:
        return Use(weight.leaf, "scale")
    axis_roles = tuple(sorted({segment.axis: role for segment, role in pairs}.items()))
    return Use(weight.leaf, "kernel", axis_roles, fan_in, fan_out, output_count=fan_out)


def _right_factor_use(weight: TrackedWeight, pairs: list[tuple[Segment, AxisRole]]) -> Use:
    """Return the use of the right factor of a product of parameters.

    Its inputs are the left factor's outputs.
    """
    return Use.right_factor(
        weight,
        free=[segment for segment, role in pairs if role != BATCH],
        batch={segment.axis: role for segment, role in pairs if role == BATCH},
    )


def _global_size(axis: Segments, size: int) -> int:
    """Return the number of entries along an axis over all devices.

    `size` counts the entries of all parameters along the axis; 0 counts this parameter only.
    """
    if not size:
        return math.prod(segment.size * segment.devices for segment in axis)
    return size * math.prod(segment.devices for segment in axis)


def _join_roles(before: str | None, role: str) -> str:
    """Return both roles of an axis that was split into two."""
    return role if before in (None, role) else f"{before}·{role}"


def _exact(number: float) -> float:
    """Return the number, as an integer where it is one."""
    return int(number) if number == int(number) else number
