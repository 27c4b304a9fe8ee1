"""Fit an initializer to the axes and fans of one parameter."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers import Initializer, stacked, variance_scaling
from jinit.initializers.blocks import Blockwise, Stacked
from jinit.initializers.combinators import Cast, Masked, Scaled, Truncated
from jinit.initializers.embedding import SmallInit
from jinit.initializers.fans import fans
from jinit.initializers.orthogonal import DeltaOrthogonal, Orthogonal
from jinit.model import Leaf, axes_hint
from jinit.rules.attention_blocks import block_leaves
from jinit.rules.joined import JoinedKernel
from jinit.rules.match import BlockInitializers, RuleError
from jinit.rules.parts import COPY_AXES, fit_columns, fit_parts

_ENTRY_CHANGES = (Scaled, Cast, Truncated, Masked)
"""Initializers that change the entries of another draw of the same shape."""
_AXIS_ORDER = ("batch", "stacked", "spatial", "in", "out")


@dataclass(frozen=True, repr=False)
class AxisPermutation(Initializer):
    """A draw in the axis order (copies, spatial, in, out), transposed to that of the parameter.

    The initializer sees several input axes as one, and several output axes as one. Copies along
    batch and stacked axes are independent draws.
    """

    name = "arranged"
    positional = ("initializer", "axes")
    initializer: Initializer
    axes: tuple[str, ...]

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw one matrix or kernel per copy."""
        order = sorted(range(len(shape)), key=lambda axis: _AXIS_ORDER.index(self.axes[axis]))
        sizes = {
            role: [shape[axis] for axis in order if self.axes[axis] == role] for role in _AXIS_ORDER
        }
        copies = sizes["batch"] + sizes["stacked"]
        kernel = (*sizes["spatial"], math.prod(sizes["in"]), math.prod(sizes["out"]))
        initializer = stacked(self.initializer) if copies else self.initializer
        leading = (math.prod(copies),) if copies else ()
        array = initializer(key, (*leading, *kernel), dtype)
        ordered = array.reshape([shape[axis] for axis in order])
        return jnp.transpose(ordered, [order.index(axis) for axis in range(len(order))])


def fit_initializer(initializer: Any, leaf: Leaf, leaves: Sequence[Leaf]) -> Any:
    """Return the initializer with the fans that the computation gives a parameter.

    Initializers that scale by fans receive the input, output and copy axes. Those that build a
    matrix draw it in their own axis order, once for each copy of stacked layers. Axes and arrays
    that an initializer names, such as the axis of `blockwise` and the mask of `masked`, are those
    of the parameter as it is stored, its stacked axes included, as when the initializer is called
    with the parameter's shape. Objects with a method `resolve(leaf, leaves)` are replaced by what
    it returns. Any other callable is returned unchanged and sees the shape only.

    Args:
      initializer: an initializer, or any function of a key, a shape and a dtype.
      leaf: the parameter.
      leaves: all parameters of the model.

    Raises:
      RuleError: if the initializer depends on the axes and they cannot be read, or names an axis
        that the parameter does not have.
    """

    def fit(initializer: Any, leaf: Leaf) -> Any:
        return fit_initializer(initializer, leaf, leaves)

    if isinstance(initializer, BlockInitializers):
        initializer = _join_blocks(initializer.initializers, leaf, leaves)
    initializer = resolve_initializer(initializer, leaf, leaves)
    if isinstance(initializer, _ENTRY_CHANGES):
        inner = fit(initializer.initializer, leaf)
        return dataclasses.replace(initializer, initializer=inner)
    if isinstance(initializer, Blockwise | Stacked):
        return fit_parts(initializer, leaf, fit)
    is_free = isinstance(initializer, SmallInit) or not isinstance(initializer, Initializer)
    return initializer if is_free or initializer.is_entrywise else _fit_axes(initializer, leaf)


def _fit_axes(initializer: Any, leaf: Leaf) -> Any:
    """Return an initializer whose draw depends on the roles of the axes, fitted to a parameter."""
    _check_axes(initializer, leaf)
    if leaf.role not in ("kernel", "embedding"):
        return initializer
    options = {field.name for field in dataclasses.fields(initializer)}
    is_usual = leaf.axes == ("spatial",) * (len(leaf.axes) - 2) + ("in", "out")
    if {"in_axis", "out_axis", "batch_axis"} <= options:
        stated = _axis_options(leaf, options)
        needs_none = is_usual and len(stated) == 3
        candidate = initializer if needs_none else dataclasses.replace(initializer, **stated)
        return _match_variance(candidate, initializer, leaf)
    if isinstance(initializer, Orthogonal | DeltaOrthogonal) and initializer.column_axis != -1:
        return fit_columns(initializer, leaf)
    if is_usual or leaf.role == "embedding":
        return initializer
    if {"in_axis", "out_axis"} <= options:
        initializer = dataclasses.replace(initializer, in_axis=-2, out_axis=-1)
    axes = tuple(role if role in _AXIS_ORDER else "batch" for role in leaf.axes)
    return AxisPermutation(initializer, axes)


def _join_blocks(initializers: Sequence[Any], leaf: Leaf, leaves: Sequence[Leaf]) -> Any:
    """Return the initializer of a kernel that is drawn in blocks; None if a block has none."""
    blocks = zip(initializers, block_leaves(leaf), strict=True)
    fitted = tuple(fit_initializer(initializer, block, leaves) for initializer, block in blocks)
    if None in fitted:
        return None
    return JoinedKernel(initializers=fitted, blocks=tuple(part.units for part in leaf.attention))


def resolve_initializer(initializer: Any, leaf: Leaf, leaves: Sequence[Leaf]) -> Any:
    """Return the initializer that a deferred one gives a parameter; return others unchanged."""
    while hasattr(initializer, "resolve"):
        initializer = initializer.resolve(leaf, leaves)
    return initializer


def _match_variance(candidate: Any, initializer: Any, leaf: Leaf) -> Any:
    """Return the candidate, or its variance stated where its axes give other fans.

    Other fans come from strides that the initializer does not have as an option, and from kernels
    that are used in slices or repeatedly.
    """
    wanted = initializer.variance((leaf.fan_in, leaf.fan_out))
    if math.isclose(candidate.variance(leaf.shape), wanted, rel_tol=1e-6):
        return candidate
    axes: dict[str, Any] = {
        "in_axis": candidate.in_axis,
        "out_axis": candidate.out_axis,
        "batch_axis": candidate.batch_axis,
    }
    fan_in = fans(leaf.shape, **axes).fan_in
    return variance_scaling(wanted * fan_in, "fan_in", candidate.distribution, **axes)


def _check_axes(initializer: Initializer, leaf: Leaf) -> None:
    """Raise if the axes of a parameter cannot be read, or one of them has two roles."""
    if leaf.role == "unread":
        raise RuleError(
            f"{initializer!r} depends on the axes of {leaf.path} (shape {leaf.shape}), and jinit "
            f"cannot read how the computation uses it: "
            f"{axes_hint(leaf.path, leaf.shape, leaf.reason)}, or give it an initializer that does "
            "not depend on fans, such as jinit.normal(0.02)"
        )
    if several := [role for role in leaf.axes if "·" in role]:
        raise RuleError(
            f"{initializer!r} depends on the axes of {leaf.path} (shape {leaf.shape}), and one "
            f"axis has two roles, {several[0]}: store the parameter in the shape in which it is "
            "used, or give it an initializer that does not depend on fans, such as "
            f"jinit.normal({_lecun_std(leaf):.3g})"
        )


def _lecun_std(leaf: Leaf) -> float:
    return (leaf.fan_in or 1) ** -0.5


def _axis_options(leaf: Leaf, options: set[str]) -> dict[str, Any]:
    """Return the axes of a parameter, and its groups, strides and dilation, as options."""

    def axes(*roles: str) -> tuple[int, ...]:
        return tuple(axis for axis, role in enumerate(leaf.axes) if role in roles)

    stated: dict[str, Any] = {
        "in_axis": axes("in"),
        "out_axis": axes("out"),
        "batch_axis": axes(*COPY_AXES, "unit", "lookup"),
    }
    steps = {"groups": leaf.groups, "strides": leaf.strides, "input_dilation": leaf.dilation}
    return stated | {
        name: value
        for name, value in steps.items()
        if name in options and value != () and set(np.ravel(value)) != {1}
    }
