"""Fans of a kernel: the number of inputs per output and of outputs per input."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

AxesLike = int | Sequence[int]
"""Type of an option that names axes: one index, or several."""

AxisIndices = int | tuple[int, ...]
"""Axes as an initializer keeps them."""

Strides = int | tuple[int, ...]
"""Strides as an initializer keeps them."""


@dataclass(frozen=True)
class Fans:
    """Number of inputs per output (`fan_in`) and of outputs per input (`fan_out`).

    With strides these are means over positions and need not be integers.
    """

    fan_in: float
    fan_out: float


def fans(
    shape: tuple[int, ...],
    in_axis: AxisIndices = -2,
    out_axis: AxisIndices = -1,
    batch_axis: AxisIndices = (),
    *,
    groups: int = 1,
    strides: Strides = 1,
    input_dilation: Strides = 1,
) -> Fans:
    """Return the fans of a kernel.

    Axes that are neither input, output nor batch axes are the receptive field:
    `fan_in = prod(in axes) × receptive field / prod(input_dilation)`,
    `fan_out = prod(out axes) / groups × receptive field / prod(strides)`.

    Args:
      shape: shape of the kernel.
      in_axis: input axes.
      out_axis: output axes.
      batch_axis: axes of independent copies of the layer.
      groups: number of groups of a convolution, whose kernel holds the inputs of one group only.
      strides: strides of a convolution, one for all receptive axes or one for each.
      input_dilation: strides of a transposed convolution, one for all axes or one for each.

    Raises:
      ValueError: if an axis is missing from `shape` or has two roles, if the outputs do not
        divide into the groups, or if the number of strides is not the number of receptive axes.

    >>> fans((3, 3, 64, 128))
    Fans(fan_in=576, fan_out=1152)
    >>> fans((4, 4, 64, 32), input_dilation=2)
    Fans(fan_in=256, fan_out=512)
    """
    options = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}
    positions = {option: _axis_positions(option, axes, shape) for option, axes in options.items()}
    _check_disjoint(positions, shape)
    used = {position for axes in positions.values() for position in axes}
    field = [size for axis, size in enumerate(shape) if axis not in used]
    inputs = math.prod(shape[axis] for axis in positions["in_axis"])
    outputs = math.prod(shape[axis] for axis in positions["out_axis"])
    check_groups("fans", shape, groups, outputs=outputs)
    per_input = _stride_product("input_dilation", input_dilation, field, shape)
    per_output = _stride_product("strides", strides, field, shape)
    outputs_per_group = _quotient(outputs * math.prod(field), groups)
    return Fans(
        fan_in=_quotient(inputs * math.prod(field), per_input),
        fan_out=_quotient(outputs_per_group, per_output),
    )


def check_groups(
    name: str, shape: tuple[int, ...], groups: int, *, outputs: int | None = None
) -> None:
    """Raise a ValueError unless the outputs of a convolution divide into its groups.

    Args:
      name: the initializer.
      shape: shape of the kernel, `(*spatial, in, out)` unless `outputs` is given.
      groups: the convolution's `feature_group_count`.
      outputs: number of outputs; by default the size of the last axis.
    """
    count = shape[-1] if outputs is None else outputs
    if groups > 1 and count % groups:
        raise ValueError(
            f"{name}: {count} outputs (shape {shape}) do not divide into {groups} groups; groups "
            "must be the convolution's feature_group_count"
        )


def axis_index(name: str, option: str, axis: int, shape: tuple[int, ...]) -> int:
    """Return the index of an axis, counted from the first one.

    Raises:
      ValueError: if the shape does not have that axis.
    """
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"{name}: {option}={axis} is not an axis of shape {shape}")
    return axis % len(shape)


def check_strides(name: str, strides: object) -> Strides:
    """Return one stride or several as plain values.

    Raises:
      TypeError: if a stride is not an integer.
      ValueError: if a stride is less than 1.
    """
    several = tuple(strides) if isinstance(strides, list | tuple) else (strides,)
    numbers = tuple(stride for stride in several if type(stride) is int)
    if len(numbers) < len(several):
        raise TypeError(f"{name}: expected an integer or a sequence of integers, got {strides!r}")
    if min(numbers, default=1) < 1:
        raise ValueError(f"{name}: expected strides of at least 1, got {strides!r}")
    return numbers if isinstance(strides, list | tuple) else numbers[0]


def _stride_product(name: str, strides: Strides, field: list[int], shape: tuple[int, ...]) -> int:
    """Return the product of the strides over the axes of the receptive field."""
    if isinstance(strides, int):
        return strides ** len(field)
    if len(strides) != len(field):
        raise ValueError(
            f"cannot compute the fans of shape {shape}: {name}={strides}, but the number of "
            f"receptive axes is {len(field)}; give one stride for each of them, or one for all"
        )
    return math.prod(strides)


def _quotient(dividend: float, divisor: int) -> float:
    return dividend / divisor if dividend % divisor else dividend // divisor


def check_axes(name: str, axes: object) -> AxisIndices:
    """Return one axis or several as plain values; raise a TypeError if one is not an integer."""
    if isinstance(axes, int) and not isinstance(axes, bool):
        return axes
    if isinstance(axes, list | tuple) and all(type(axis) is int for axis in axes):
        return tuple(axes)
    raise TypeError(f"{name}: expected an integer or a sequence of integers, got {axes!r}")


def _axis_positions(option: str, axes: AxisIndices, shape: tuple[int, ...]) -> tuple[int, ...]:
    rank = len(shape)
    indices = (axes,) if isinstance(axes, int) else axes
    for axis in indices:
        if not -rank <= axis < rank:
            raise ValueError(_missing_axis_message(option, axis, shape))
    return tuple(axis % rank for axis in indices)


def _missing_axis_message(option: str, axis: int, shape: tuple[int, ...]) -> str:
    number = "1 axis" if len(shape) == 1 else f"{len(shape)} axes"
    message = f"cannot compute the fans of shape {shape}: {option}={axis}, but it has {number}. "
    if len(shape) == 1:
        return message + (
            "Say which axes are inputs and outputs, for example in_axis=0, out_axis=() for a "
            "vector that is summed over, or in_axis=(), out_axis=0 for one entry per output; "
            "for a bias, use zeros or normal(stddev), which need no fans."
        )
    if not shape:
        return message + "A scalar has no inputs: use constant(value) or normal(stddev)."
    return message + f"Give axes between {-len(shape)} and {len(shape) - 1} as in_axis, out_axis."


def _check_disjoint(positions: dict[str, tuple[int, ...]], shape: tuple[int, ...]) -> None:
    pairs = [(axis, option) for option, axes in positions.items() for axis in axes]
    for axis, option in pairs:
        options = [other for position, other in pairs if position == axis]
        if len(options) > 1:
            raise ValueError(
                f"cannot compute the fans of shape {shape}: axis {axis} is named as "
                f"{' and '.join(options)}; each axis has one role, so give {option} another axis "
                "or ()"
            )
