"""Parameters from which a signal selects entries: slices and gathers."""

from dataclasses import dataclass, replace

from jinit.model.axis_roles import BATCH, LOOKUP, OUT
from jinit.model.operation import Operation
from jinit.model.roles import Use
from jinit.model.weight_axes import Segments, TrackedWeight


@dataclass(frozen=True)
class Lookup:
    """A selection of entries of one parameter."""

    use: Use | None
    """None if the axes of the parameter are unknown."""
    selected: TrackedWeight
    """The parameter in the result."""


def slice_lookups(operation: Operation, weights: tuple[TrackedWeight, ...]) -> list[Lookup]:
    """Return the lookups of a `dynamic_slice` whose position is a signal.

    Parameters with unknown axes are left out.
    """
    sizes = zip(operation.operand_shapes[0], operation.shapes[0], strict=True)
    is_cut = [after < before for before, after in sizes]
    return [
        _slice_lookup(weight, weight.axes, is_cut) for weight in weights if weight.axes is not None
    ]


def _slice_lookup(weight: TrackedWeight, axes: tuple[Segments, ...], is_cut: list[bool]) -> Lookup:
    pairs = list(zip(is_cut, axes, strict=True))
    roles = {
        segment.axis: LOOKUP if cut else OUT for cut, segments in pairs for segment in segments
    }
    indexed = [segment for cut, segments in pairs if cut for segment in segments]
    rest = weight.replace_axes(() if cut else segments for cut, segments in pairs)
    return Lookup(
        use=Use.embedding(weight, roles),
        selected=replace(rest, consumed_axes=weight.consume(indexed, LOOKUP)),
    )


def gather_lookups(operation: Operation, weights: tuple[TrackedWeight, ...]) -> list[Lookup]:
    """Return the lookups of a `gather` from parameters."""
    return [_gather_lookup(operation, weight) for weight in weights]


def _gather_lookup(operation: Operation, weight: TrackedWeight) -> Lookup:
    if weight.axes is None:
        return Lookup(None, weight)
    numbers = operation.params["dimension_numbers"]
    sizes = zip(operation.params["slice_sizes"], operation.operand_shapes[0], strict=True)
    cut = {axis for axis, (after, before) in enumerate(sizes) if after < before}
    indexed = cut.intersection(numbers.start_index_map)
    batch = numbers.operand_batching_dims
    dropped = {*numbers.collapsed_slice_dims, *batch}
    roles = {
        segment.axis: LOOKUP if axis in indexed else BATCH if axis in batch else OUT
        for axis, segments in enumerate(weight.axes)
        for segment in segments
    }
    kept = [segments for axis, segments in enumerate(weight.axes) if axis not in dropped]
    axes: list[Segments] = [()] * len(operation.shapes[0])
    for axis, segments in zip(numbers.offset_dims, kept, strict=True):
        axes[axis] = segments
    indexed_segments = [segment for axis in indexed for segment in weight.axes[axis]]
    consumed = weight.consume(indexed_segments, LOOKUP)
    return Lookup(
        use=Use.embedding(weight, roles),
        selected=TrackedWeight(weight.leaf, tuple(axes), consumed, form=weight.form),
    )
