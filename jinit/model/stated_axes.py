"""Axis roles that a user states, for parameters whose use cannot be read from the computation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from jinit.choice import suggestion
from jinit.model.axis_roles import AXIS_ROLES, IN, LOOKUP, OUT, SPATIAL, AxisRole
from jinit.model.leaves import Leaf
from jinit.model.paths import closest_paths, compile_glob

AxisRoles = tuple[AxisRole, ...]


def resolve_axes(
    axes: Mapping[str, Sequence[str]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, AxisRoles]:
    """Return the axis roles of every parameter that a glob matches; the first match counts.

    Args:
      axes: globs of paths with a role for every axis.
      shapes: shapes of the parameters by path.

    Raises:
      TypeError: if `axes` is not a mapping, or the roles are a string.
      ValueError: if a glob matches nothing, a role is unknown, the number of roles differs from
        the number of axes, or no axis is summed over or looked up.
    """
    if not isinstance(axes, Mapping):
        raise TypeError(
            f"with_axes: expected globs of paths with a role for every axis, such as "
            f'{{"**/kernel": ("in", "out")}}, got {type(axes).__name__}'
        )
    resolved: dict[str, AxisRoles] = {}
    for pattern, roles in axes.items():
        paths = [path for path in shapes if compile_glob(pattern).fullmatch(path)]
        if not paths:
            raise ValueError(
                f"with_axes: {pattern!r} matches no parameter; the closest paths are "
                f"{', '.join(closest_paths(pattern, list(shapes)))}"
            )
        for path in paths:
            resolved.setdefault(path, _check_roles(path, roles, shapes[path]))
    return resolved


def state_axes(leaf: Leaf, roles: AxisRoles) -> Leaf:
    """Return the leaf with these axis roles and the fans that follow from them.

    Copies along batch and stacked axes do not count.

    Args:
      leaf: the parameter.
      roles: a role for every axis.
    """

    def product(*counted: AxisRole) -> int:
        sizes = zip(leaf.shape, roles, strict=True)
        return math.prod(size for size, role in sizes if role in counted)

    is_table = LOOKUP in roles
    return replace(
        leaf,
        role="embedding" if is_table else "kernel",
        axes=roles,
        fan_in=1 if is_table else product(IN, SPATIAL),
        fan_out=product(OUT, SPATIAL),
        groups=1,
        strides=(),
        dilation=(),
        reason="",
    )


def _check_roles(path: str, roles: Sequence[str], shape: tuple[int, ...]) -> AxisRoles:
    if isinstance(roles, str) or not isinstance(roles, Sequence):
        raise TypeError(
            f"with_axes: expected a role for every axis of {path}, such as {_example(shape)}, "
            f"got {roles!r}"
        )
    for role in roles:
        if role not in AXIS_ROLES:
            hint = suggestion(role, AXIS_ROLES) or "expected one of: " + ", ".join(AXIS_ROLES)
            raise ValueError(f"with_axes: unknown role {role!r} of an axis of {path}; {hint}")
    if len(roles) != len(shape):
        raise ValueError(
            f"with_axes: {path} has shape {shape}, so it needs {_count_text(len(shape))}, got "
            f"{len(roles)}: {tuple(roles)}; a glob must match parameters of one rank"
        )
    if not {IN, SPATIAL, LOOKUP}.intersection(roles):
        raise ValueError(
            f"with_axes: no axis of {path} is `in`, `spatial` or `lookup`, so nothing is "
            "summed or looked up; biases and scales need no axes: give them a rule by path"
        )
    return cast(AxisRoles, tuple(roles))


def _count_text(count: int) -> str:
    return f"{count} role{'' if count == 1 else 's'}"


def axes_hint(path: str, shape: Sequence[int], reason: str = "") -> str:
    """Return a remedy for a parameter whose axes cannot be read: how to state them.

    Args:
      path: path of the parameter.
      shape: its shape.
      reason: why they cannot be read, if that is known.

    >>> axes_hint("w", (4, 3))
    "state its axes, such as model.with_axes({'w': ('in', 'out')})"
    """
    remedy = f"state its axes, such as model.with_axes({{{path!r}: {_example(shape)}}})"
    return f"{reason}; {remedy}" if reason else remedy


def _example(shape: Sequence[int]) -> tuple[str, ...]:
    return (*["spatial"] * (len(shape) - 2), "in", "out")[-len(shape) :]
