"""Ensembles: kernels whose members read one input and never meet one another again."""

from collections.abc import Sequence
from dataclasses import replace

from jinit.model.axis_roles import BATCH, IN, OUT, SPATIAL, AxisRole
from jinit.model.operand_roles import read_operand_roles
from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation
from jinit.model.primitives import ELEMENTWISE
from jinit.model.sum_readers import dependent_operations
from jinit.model.uses import Site
from jinit.model.weight_axes import (
    AXIS_MOVES,
    REDUCTIONS,
    Segment,
    Segments,
    TrackedWeight,
    move_weight,
)


def separate_members(sites: Sequence[Site], shapes: Sequence[tuple[int, ...]]) -> list[Site]:
    """Return the sites, with the axis that enumerates the members of an ensemble as `batch`.

    The first layer of an ensemble looks like one wider kernel, because all members read the same
    input. Its axis is followed to the next kernels: members that each have a kernel of their own
    are an ensemble, unless a kernel later sums over the axis, as over the heads of attention.

    Args:
      sites: all uses of parameters in a computation.
      shapes: shapes of the parameters.
    """
    return [_separate(site, shapes[site.use.leaf]) for site in sites]


def _separate(site: Site, shape: tuple[int, ...]) -> Site:
    use = site.use
    free = [axis for axis, role in use.axis_roles if role == OUT and shape[axis] > 1]
    if use.role != "kernel" or len(free) < 2 or site.operation.name not in CONTRACTION_PRIMITIVES:
        return site
    members = [axis for axis in free if _is_member_axis(site, axis, shape[axis])]
    if not members or len(members) == len(free):
        return site
    fan_out = use.fan_out or 0
    for axis in members:
        fan_out /= shape[axis]
    roles = dict(use.axis_roles) | dict.fromkeys(members, BATCH)
    exact = int(fan_out) if fan_out == int(fan_out) else fan_out
    return replace(site, use=replace(use, axis_roles=tuple(sorted(roles.items())), fan_out=exact))


def _is_member_axis(site: Site, member: int, size: int) -> bool:
    """Return whether an axis enumerates members.

    Later kernels have an axis of the same members, and none sums over it. Without later kernels,
    the axis is one if it comes before the inputs, as `vmap` puts it, and is still there at the end.
    """
    followed = _start(site)
    is_separate = is_last = False
    for operation in dependent_operations(site.scope, followed):
        for number, operand in enumerate(operation.operands):
            if not isinstance(operand, int) or operand not in followed:
                continue
            value = followed[operand]
            if operation.name not in CONTRACTION_PRIMITIVES:
                moved = _move(operation, value)
            else:
                role = _member_role(operation, number, value, member, size)
                other = operation.operands[1 - number] if number < 2 else None
                if isinstance(other, int) and site.scope.values[other].weights:
                    if role == IN:
                        return False
                    is_separate |= role == BATCH
                moved = None if role == IN else _multiply(operation, number, value, member)
            if moved is not None and _member_axis(moved, member) is not None:
                followed |= dict.fromkeys(operation.results, moved)
            else:
                is_last |= operation.name in REDUCTIONS
    is_last |= not site.scope.parent and any(v in followed for v in site.scope.graph.outputs)
    return is_separate or (is_last and _is_outermost(site, member))


def _is_outermost(site: Site, member: int) -> bool:
    """Return whether an axis of a kernel comes before those that it sums over."""
    return all(member < axis for axis, role in site.use.axis_roles if role in (IN, SPATIAL))


def _start(site: Site) -> dict[int, TrackedWeight]:
    """Return the result of a contraction, with the axes of the kernel along its axes."""
    operation = site.operation
    for number, operand in enumerate(operation.operands[:2]):
        known = site.scope.values[operand].weights if isinstance(operand, int) else ()
        for weight in known:
            if weight.leaf == site.use.leaf and weight.axes is not None:
                return {operation.results[0]: _multiply(operation, number, weight)}
    return {}


def _member_axis(value: TrackedWeight, member: int) -> int | None:
    """Return the axis of a value along which the members lie."""
    return next(
        (
            number
            for number, segments in enumerate(value.axes or ())
            if any(segment.axis == member for segment in segments)
        ),
        None,
    )


def _move(operation: Operation, value: TrackedWeight) -> TrackedWeight | None:
    """Return the members in the result of an operation; None if they cannot be followed."""
    if operation.name in AXIS_MOVES:
        return move_weight(value, operation)
    has_shape = len(operation.shapes[0]) == len(value.axes or ())
    return value if has_shape and operation.name in ELEMENTWISE else None


def _member_role(
    operation: Operation, number: int, value: TrackedWeight, member: int, size: int
) -> AxisRole:
    """Return the role in a contraction of the axis along which the members lie."""
    axis = _member_axis(value, member)
    if number > 1 or axis is None or value.axes is None:
        return IN
    if operation.name != "conv_general_dilated" or number == 1:
        return read_operand_roles(operation, number).roles[axis]
    batch_axis, feature_axis, *_ = operation.params["dimension_numbers"].lhs_spec
    if axis == feature_axis:
        is_outer = value.axes[axis][0].axis == member
        is_group = operation.params["feature_group_count"] % size == 0
        return BATCH if is_outer and is_group else IN
    return OUT if axis == batch_axis else IN


def _multiply(
    operation: Operation, number: int, value: TrackedWeight, member: int | None = None
) -> TrackedWeight:
    """Return an operand's axes in the result of a contraction."""
    axes = value.axes or ()
    result: list[Segments] = [()] * len(operation.shapes[0])
    if operation.name == "conv_general_dilated":
        numbers = operation.params["dimension_numbers"]
        if number == 1:
            result[numbers.out_spec[1]] = axes[numbers.rhs_spec[0]]
            return value.replace_axes(result)
        result[numbers.out_spec[0]] = axes[numbers.lhs_spec[0]]
        groups = [each for each in axes[numbers.lhs_spec[1]][:1] if each.axis == member]
        units = operation.shapes[0][numbers.out_spec[1]]
        for each in groups:
            result[numbers.out_spec[1]] = (each, Segment(-1, units // each.size))
        return value.replace_axes(result)
    roles = read_operand_roles(operation, number).roles
    batch = operation.dot_dimension_numbers[1][number]
    free = [axis for axis, role in enumerate(roles) if role == OUT]
    first = len(batch) if number == 0 else len(result) - len(free)
    for target, axis in (*enumerate(batch), *enumerate(free, first)):
        result[target] = axes[axis]
    return value.replace_axes(result)
