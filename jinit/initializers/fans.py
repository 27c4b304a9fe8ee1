"""How many inputs each output sums over, and the reverse, read off a shape and its axes."""

import math
from dataclasses import dataclass

Axes = int | tuple[int, ...]


@dataclass(frozen=True)
class Fans:
    """Number of inputs per output (`fan_in`) and of outputs per input (`fan_out`)."""

    fan_in: int
    fan_out: int


def fans(
    shape: tuple[int, ...], in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()
) -> Fans:
    """Fans of a kernel: axes that are neither in, out nor batch are its receptive field.

    `fan_in = prod(in axes) × receptive field`, `fan_out = prod(out axes) × receptive field`.

    Raises:
      ValueError: an axis is missing from `shape` or has two roles.

    >>> fans((3, 3, 64, 128))
    Fans(fan_in=576, fan_out=1152)
    """
    named = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}
    taken = {role: _positions(role, axes, shape) for role, axes in named.items()}
    _check_disjoint(taken, shape)
    used = {position for positions in taken.values() for position in positions}
    receptive = math.prod(size for axis, size in enumerate(shape) if axis not in used)
    return Fans(
        receptive * math.prod(shape[axis] for axis in taken["in_axis"]),
        receptive * math.prod(shape[axis] for axis in taken["out_axis"]),
    )


def as_axes(role: str, axes: object) -> Axes:
    """One axis or several, as plain values; an error that names the role otherwise."""
    if isinstance(axes, int) and not isinstance(axes, bool):
        return axes
    if isinstance(axes, list | tuple) and all(type(axis) is int for axis in axes):
        return tuple(axes)
    raise TypeError(f"{role}: expected an integer or a sequence of integers, got {axes!r}")


def _positions(role: str, axes: Axes, shape: tuple[int, ...]) -> tuple[int, ...]:
    rank = len(shape)
    wanted = (axes,) if isinstance(axes, int) else axes
    for axis in wanted:
        if not -rank <= axis < rank:
            raise ValueError(_missing(role, axis, shape))
    return tuple(axis % rank for axis in wanted)


def _missing(role: str, axis: int, shape: tuple[int, ...]) -> str:
    message = (
        f"cannot compute the fans of shape {shape}: {role}={axis}, but it has {len(shape)} axes. "
    )
    if len(shape) == 1:
        return message + (
            "Say which axes are inputs and outputs, for example in_axis=0, out_axis=() for a "
            "vector that is summed over, or in_axis=(), out_axis=0 for one entry per output; "
            "for a bias, zeros or a plain normal(std) need no fans."
        )
    return message + f"Give axes between {-len(shape)} and {len(shape) - 1} as in_axis, out_axis."


def _check_disjoint(taken: dict[str, tuple[int, ...]], shape: tuple[int, ...]) -> None:
    pairs = [(axis, role) for role, positions in taken.items() for axis in positions]
    for axis, role in pairs:
        roles = [other for position, other in pairs if position == axis]
        if len(roles) > 1:
            raise ValueError(
                f"cannot compute the fans of shape {shape}: axis {axis} is named as "
                f"{' and '.join(roles)}; each axis has one role, so give {role} another axis or ()"
            )
