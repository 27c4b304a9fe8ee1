"""Fit an initializer that draws a parameter in parts, along an axis that it names."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jinit.initializers import stacked
from jinit.initializers.blocks import Blockwise, Stacked
from jinit.initializers.fans import axis_index
from jinit.initializers.orthogonal import DeltaOrthogonal, Orthogonal
from jinit.model import Leaf
from jinit.rules.match import RuleError

COPY_AXES = ("batch", "stacked")
"""Roles of the axes that enumerate independent copies of a layer."""

FitFunction = Callable[[Any, Leaf], Any]
"""A function that fits an initializer to a parameter."""


def fit_parts(initializer: Blockwise | Stacked, leaf: Leaf, fit: FitFunction) -> Any:
    """Return the initializer with the one that it wraps fitted to a part of the parameter.

    The axis is that of the parameter as it is stored, as when the initializer is called with its
    shape. Every part has the fans of its own shape.

    Args:
      initializer: draws blocks, or the indices of an axis.
      leaf: the parameter.
      fit: fits the wrapped initializer to a part.

    Raises:
      RuleError: if the parameter does not have the axis.
    """
    axis = _read_axis(initializer, "axis", leaf)
    if isinstance(initializer, Stacked):
        part = _select_part(leaf, axis, ())
    elif leaf.shape[axis] % initializer.blocks:
        return initializer  # its own message says that the axis does not divide
    else:
        part = _select_part(leaf, axis, (leaf.shape[axis] // initializer.blocks,))
    return dataclasses.replace(initializer, initializer=fit(initializer.initializer, part))


def _select_part(leaf: Leaf, axis: int, sizes: tuple[int, ...]) -> Leaf:
    """Return a part of a parameter, whose axis is shorter, or left out."""
    shape = (*leaf.shape[:axis], *sizes, *leaf.shape[axis + 1 :])
    if not leaf.axes:
        return dataclasses.replace(leaf, shape=shape)
    role = leaf.axes[axis]
    count = leaf.shape[axis] // (sizes[0] if sizes else 1) if leaf.shape[axis] else 1
    roles = (*leaf.axes[:axis], *[role] * len(sizes), *leaf.axes[axis + 1 :])
    return dataclasses.replace(
        leaf,
        shape=shape,
        axes=roles,
        fan_in=_divide(leaf.fan_in, count if role in ("in", "spatial") else 1),
        fan_out=_divide(leaf.fan_out, count if role in ("out", "spatial") else 1),
        groups=1,
        strides=(),
        dilation=(),
    )


def _divide(fan: float | None, count: int) -> float | None:
    return None if fan is None else fan / count


def fit_columns(initializer: Orthogonal | DeltaOrthogonal, leaf: Leaf) -> Any:
    """Return the initializer with the column axis that it names, drawn once for each copy.

    Args:
      initializer: draws a matrix whose columns are along an axis of the parameter as it is stored.
      leaf: the parameter.

    Raises:
      RuleError: if the parameter does not have the axis.
    """
    column = _read_axis(initializer, "column_axis", leaf)
    copies = [n for n, role in enumerate(leaf.axes) if role in COPY_AXES and n != column]
    matrix = [axis for axis in range(len(leaf.shape)) if axis not in copies]
    fitted: Any = initializer
    if copies:
        fitted = dataclasses.replace(initializer, column_axis=matrix.index(column) - len(matrix))
    for axis in copies:
        fitted = stacked(fitted, axis)
    return fitted


def _read_axis(initializer: Any, option: str, leaf: Leaf) -> int:
    """Return the axis that an initializer names, counted from the first one."""
    try:
        return axis_index(initializer.name, option, getattr(initializer, option), leaf.shape)
    except ValueError as error:
        raise RuleError(f"{leaf.path}: {error}") from None
