"""The roles of the axes of an operand of a contraction, from the contraction's definition."""

import math
from dataclasses import dataclass

from jinit.model.axis_roles import BATCH, IN, OUT, SPATIAL, AxisRole
from jinit.model.operation import Operation


@dataclass(frozen=True)
class OperandRoles:
    """The role of each axis of the operand of a contraction that holds the weights."""

    roles: tuple[AxisRole, ...]
    shape: tuple[int, ...]
    groups: int = 1
    """Groups of units, each of which has its own inputs."""
    in_groups: int = 1
    """Groups into which the input axes are split, of which an output sums over one."""
    in_window: float = 1
    """Number of positions that an output sums over."""
    out_window: float = 1
    """Number of positions that an input contributes to."""
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    def axes(self, role: AxisRole) -> list[int]:
        """Return the axes with this role."""
        return [axis for axis, axis_role in enumerate(self.roles) if axis_role == role]


def read_operand_roles(operation: Operation, operand: int) -> OperandRoles:
    """Return the roles of the axes of one operand of a matrix product or convolution.

    Args:
      operation: the contraction.
      operand: index of the operand that holds the weights: 0 or 1.
    """
    if operation.name == "conv_general_dilated":
        return _kernel_roles(operation) if operand == 1 else _image_roles(operation)
    shape = operation.operand_shapes[operand]
    roles: list[AxisRole] = [OUT] * len(shape)
    contracted, batch = (pair[operand] for pair in operation.dot_dimension_numbers)
    for axis in contracted:
        roles[axis] = IN
    for axis in batch:
        roles[axis] = BATCH
    if operation.name != "ragged_dot_general":
        return OperandRoles(tuple(roles), shape)
    numbers = operation.params["ragged_dot_dimension_numbers"]
    for axis in numbers.rhs_group_dimensions if operand == 1 else ():
        roles[axis] = BATCH
    (ragged,) = numbers.lhs_ragged_dimensions
    group_count = operation.operand_shapes[2][-1]
    is_split = ragged in operation.dot_dimension_numbers[0][0]
    return OperandRoles(tuple(roles), shape, in_groups=group_count if is_split else 1)


def _kernel_roles(operation: Operation) -> OperandRoles:
    """Return the roles of the kernel of a convolution."""
    shape, params = operation.operand_shapes[1], operation.params
    _, in_axis, *spatial = params["dimension_numbers"].rhs_spec
    roles: list[AxisRole] = [OUT] * len(shape)
    roles[in_axis] = IN
    for axis in spatial:
        roles[axis] = SPATIAL
    window = math.prod(shape[axis] for axis in spatial)
    return OperandRoles(
        roles=tuple(roles),
        shape=shape,
        groups=params["feature_group_count"] * params["batch_group_count"],
        in_window=window / math.prod(params["lhs_dilation"]),
        out_window=window / math.prod(params["window_strides"]),
        strides=tuple(params["window_strides"]),
        dilation=tuple(params["lhs_dilation"]),
    )


def _image_roles(operation: Operation) -> OperandRoles:
    """Return the roles of the image of a convolution, whose kernel is then the signal.

    An output sums over the window of the signal; an entry of the signal contributes to every
    position of the result.
    """
    (image, kernel), params = operation.operand_shapes[:2], operation.params
    numbers = params["dimension_numbers"]
    roles: list[AxisRole] = [SPATIAL] * len(image)
    roles[numbers.lhs_spec[0]], roles[numbers.lhs_spec[1]] = OUT, IN
    window = math.prod(kernel[axis] for axis in numbers.rhs_spec[2:])
    return OperandRoles(
        roles=tuple(roles),
        shape=image,
        groups=params["batch_group_count"],
        in_groups=params["feature_group_count"],
        in_window=window / math.prod(params["lhs_dilation"]),
        out_window=math.prod(operation.shapes[0][axis] for axis in numbers.out_spec[2:]),
    )
