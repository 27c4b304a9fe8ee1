"""An initializer fitted to one parameter: told what the axes do, whatever their order."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers import Initializer, stacked
from jinit.initializers.combinators import Scaled
from jinit.model import Leaf

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
    """
    if hasattr(initializer, "fitted_to"):
        return fitted(initializer.fitted_to(leaf, leaves), leaf, leaves)
    if isinstance(initializer, Scaled):
        inner = fitted(initializer.initializer, leaf, leaves)
        return dataclasses.replace(initializer, initializer=inner)
    if not isinstance(initializer, Initializer) or leaf.role not in ("kernel", "embedding"):
        return initializer
    options = {field.name for field in dataclasses.fields(initializer)}
    told = _told(leaf, options)
    usual = leaf.axes == ("spatial",) * (len(leaf.axes) - 2) + ("in", "out")
    if {"in_axis", "out_axis", "batch_axis"} <= options:
        return initializer if usual and len(told) == 3 else dataclasses.replace(initializer, **told)
    if (
        usual
        or initializer.entrywise
        or leaf.role == "embedding"
        or not set(leaf.axes) <= set(_ORDER)
    ):
        return initializer
    return Arranged(initializer, leaf.axes)


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
