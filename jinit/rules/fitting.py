"""An initializer fitted to one parameter: told what the axes do, whatever their order."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers import Initializer, stacked, variance_scaling
from jinit.initializers.combinators import Scaled
from jinit.initializers.fans import fans
from jinit.model import Leaf, give_axes
from jinit.rules.match import RuleError

_COPIES = ("batch", "stacked")
_ORDER = ("batch", "stacked", "spatial", "in", "out")


@dataclass(frozen=True, repr=False)
class Arranged(Initializer):
    """A draw in the order (copies, spatial, in, out), moved to where the parameter has them.

    Several input axes are one to the initializer, and several output axes as well; copies along
    batch and stacked axes are independent draws.
    """

    name = "arranged"
    leading = ("initializer", "axes")
    initializer: Initializer
    axes: tuple[str, ...]

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """One matrix or kernel per copy."""
        order = sorted(range(len(shape)), key=lambda axis: _ORDER.index(self.axes[axis]))
        sizes = {
            word: [shape[axis] for axis in order if self.axes[axis] == word] for word in _ORDER
        }
        copies = sizes["batch"] + sizes["stacked"]
        kernel = (*sizes["spatial"], math.prod(sizes["in"]), math.prod(sizes["out"]))
        many = stacked(self.initializer) if copies else self.initializer
        lead = (math.prod(copies),) if copies else ()
        drawn = many.draw(key, (*lead, *kernel), dtype)
        ordered = drawn.reshape([shape[axis] for axis in order])
        return jnp.transpose(ordered, [order.index(axis) for axis in range(len(order))])


@dataclass(frozen=True)
class FromKeyOf:
    """An initializer that draws from the key of another parameter, with which it shares a draw."""

    initializer: Initializer
    path: str

    def __repr__(self) -> str:
        return f"{self.initializer!r} from the key of {self.path}"


def fitted(initializer: Any, leaf: Leaf, leaves: Sequence[Leaf]) -> Any:
    """The initializer with the fans that the computation gives this parameter.

    Rules that scale by fans are told which axes are inputs, outputs and copies. Those that build a
    matrix draw it in its own order. What has a method `fitted_to` makes the initializer, of the
    parameter and all of them. Any other callable is left alone, and sees the shape only.

    Raises:
      RuleError: it needs to know the axes, and they cannot be read.
    """
    initializer = made(initializer, leaf, leaves)
    if isinstance(initializer, Scaled):
        inner = fitted(initializer.initializer, leaf, leaves)
        return dataclasses.replace(initializer, initializer=inner)
    if not isinstance(initializer, Initializer) or initializer.entrywise:
        return initializer
    _check_read(initializer, leaf)
    if leaf.role not in ("kernel", "embedding"):
        return initializer
    options = {field.name for field in dataclasses.fields(initializer)}
    told = _told(leaf, options)
    usual = leaf.axes == ("spatial",) * (len(leaf.axes) - 2) + ("in", "out")
    if {"in_axis", "out_axis", "batch_axis"} <= options:
        plain = usual and len(told) == 3
        return _of_these_fans(
            initializer if plain else dataclasses.replace(initializer, **told), initializer, leaf
        )
    if usual or leaf.role == "embedding":
        return initializer
    return Arranged(initializer, tuple(word if word in _ORDER else "batch" for word in leaf.axes))


def made(initializer: Any, leaf: Leaf, leaves: Sequence[Leaf]) -> Any:
    """What the initializer makes for this parameter, if that is what it does; else itself."""
    while hasattr(initializer, "fitted_to"):
        initializer = initializer.fitted_to(leaf, leaves)
    return initializer


def _of_these_fans(placed: Any, initializer: Any, leaf: Leaf) -> Any:
    """The initializer placed on its axes; its variance stated, where the axes give other fans.

    So do strides that it knows nothing of, and kernels that are used in slices or repeated.
    """
    wanted = initializer.variance((leaf.fan_in, leaf.fan_out))
    if math.isclose(placed.variance(leaf.shape), wanted, rel_tol=1e-6):
        return placed
    axes = (placed.in_axis, placed.out_axis, placed.batch_axis)
    fan_in = fans(leaf.shape, *axes).fan_in
    return variance_scaling(wanted * fan_in, "fan_in", placed.distribution, *axes)


def _check_read(initializer: Initializer, leaf: Leaf) -> None:
    if leaf.role == "unread":
        raise RuleError(
            f"{initializer!r} needs to know what the axes of {leaf.path} (shape {leaf.shape}) do, "
            "and jinit cannot read how the computation uses it: "
            f"{give_axes(leaf.path, leaf.shape)}, or give it an initializer that needs no fans, "
            "such as jinit.normal(0.02)"
        )
    if several := [word for word in leaf.axes if "·" in word]:
        raise RuleError(
            f"{initializer!r} needs to know what the axes of {leaf.path} (shape {leaf.shape}) do, "
            f"and one of them is {several[0]}, both at once: store it in the shape in which it is "
            "used, or give it an initializer that needs no fans, such as "
            f"jinit.normal({_std_of(leaf):.3g})"
        )


def _std_of(leaf: Leaf) -> float:
    return (leaf.fan_in or 1) ** -0.5


def _told(leaf: Leaf, options: set[str]) -> dict[str, Any]:
    def places(*words: str) -> tuple[int, ...]:
        return tuple(axis for axis, word in enumerate(leaf.axes) if word in words)

    told: dict[str, Any] = {
        "in_axis": places("in"),
        "out_axis": places("out"),
        "batch_axis": places(*_COPIES, "unit", "lookup"),
    }
    steps = {"groups": leaf.groups, "strides": leaf.strides, "input_dilation": leaf.dilation}
    changed = {
        name: value for name, value in steps.items() if value not in (1, ()) and name in options
    }
    return told | {name: value for name, value in changed.items() if set(np.ravel(value)) != {1}}
