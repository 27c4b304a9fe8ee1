"""How many inputs each output sums over, and the reverse, read off a shape and its axes."""

import math
from dataclasses import dataclass

Axes = int | tuple[int, ...]
Steps = int | tuple[int, ...]


@dataclass(frozen=True)
class Fans:
    """Number of inputs per output (`fan_in`) and of outputs per input (`fan_out`).

    Under strides a mean over positions, which need not be a whole number.
    """

    fan_in: float
    fan_out: float


def fans(
    shape: tuple[int, ...],
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    *,
    groups: int = 1,
    strides: Steps = 1,
    input_dilation: Steps = 1,
) -> Fans:
    """Fans of a kernel: axes that are neither in, out nor batch are its receptive field.

    `fan_in = prod(in axes) × receptive field / prod(input_dilation)`,
    `fan_out = prod(out axes) / groups × receptive field / prod(strides)`.

    Args:
      shape: of the kernel. in_axis, out_axis, batch_axis: what its axes are.
      groups: of a convolution whose kernel already holds the inputs of one group only.
      strides: steps between outputs, one for all receptive axes or one for each.
      input_dilation: steps between inputs, the stride of a transposed convolution.

    Raises:
      ValueError: an axis is missing from `shape` or has two roles; outputs that do not divide
        into the groups; not as many steps as receptive axes.

    >>> fans((3, 3, 64, 128))
    Fans(fan_in=576, fan_out=1152)
    >>> fans((4, 4, 64, 32), input_dilation=2)
    Fans(fan_in=256, fan_out=512)
    """
    named = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}
    taken = {role: _positions(role, axes, shape) for role, axes in named.items()}
    _check_disjoint(taken, shape)
    used = {position for positions in taken.values() for position in positions}
    taps = [size for axis, size in enumerate(shape) if axis not in used]
    inputs, outputs = (
        math.prod(shape[axis] for axis in taken[role]) for role in ("in_axis", "out_axis")
    )
    if groups > 1 and outputs % groups:
        raise ValueError(
            f"cannot compute the fans of shape {shape}: {outputs} outputs do not divide into "
            f"{groups} groups; groups must be the convolution's feature_group_count"
        )
    return Fans(
        _over(inputs * math.prod(taps), _steps("input_dilation", input_dilation, taps, shape)),
        _over(_over(outputs * math.prod(taps), groups), _steps("strides", strides, taps, shape)),
    )


def as_steps(name: str, steps: object) -> Steps:
    """One step or several, all at least 1, as plain values; an error that names them otherwise."""
    several = tuple(steps) if isinstance(steps, list | tuple) else (steps,)
    numbers = tuple(step for step in several if type(step) is int)
    if len(numbers) < len(several):
        raise TypeError(f"{name}: expected an integer or a sequence of integers, got {steps!r}")
    if min(numbers, default=1) < 1:
        raise ValueError(f"{name}: expected steps of at least 1, got {steps!r}")
    return numbers if isinstance(steps, list | tuple) else numbers[0]


def _steps(name: str, steps: Steps, taps: list[int], shape: tuple[int, ...]) -> int:
    """Positions per position that is used."""
    if isinstance(steps, int):
        return steps ** len(taps)
    if len(steps) != len(taps):
        raise ValueError(
            f"cannot compute the fans of shape {shape}: {name}={steps}, but {len(taps)} of its "
            "axes are receptive; give one step for each of them, or a single one for all"
        )
    return math.prod(steps)


def _over(number: float, parts: int) -> float:
    return number / parts if number % parts else number // parts


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
