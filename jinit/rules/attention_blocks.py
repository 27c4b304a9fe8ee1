"""Blocks of a kernel that computes several parts of attention, such as fused queries and keys."""

import dataclasses
import math

from jinit.model import Leaf


def attention_blocks(leaf: Leaf) -> tuple[Leaf, ...]:
    """Return one leaf for each part that a kernel has in attention, and one for its other units.

    The leaves differ in their attention only. A kernel with one part is a single block.

    Args:
      leaf: any parameter.
    """
    if len(leaf.attention) < 2:
        return (leaf,)
    parts = [(part,) for part in leaf.attention]
    rest = [()] if _other_units(leaf) else []
    return tuple(dataclasses.replace(leaf, attention=part) for part in (*parts, *rest))


def block_leaves(leaf: Leaf) -> tuple[Leaf, ...]:
    """Return the blocks of a kernel as separate kernels `(..., in, out)`.

    Args:
      leaf: a kernel with several parts in attention.
    """
    units = [part.unit_count for part in leaf.attention] + [_other_units(leaf)]
    return tuple(
        _resize(block, count) for block, count in zip(attention_blocks(leaf), units, strict=False)
    )


def _other_units(leaf: Leaf) -> int:
    return math.prod(_sizes(leaf, "out")) - sum(part.unit_count for part in leaf.attention)


def _resize(leaf: Leaf, units: int) -> Leaf:
    """Return a kernel with its axes in the usual order and this number of outputs."""
    window, total = _sizes(leaf, "spatial"), math.prod(_sizes(leaf, "out"))
    return dataclasses.replace(
        leaf,
        shape=(*window, math.prod(_sizes(leaf, "in")), units),
        axes=(*["spatial"] * len(window), "in", "out"),
        fan_out=leaf.fan_out and leaf.fan_out * units / total,
    )


def _sizes(leaf: Leaf, role: str) -> list[int]:
    return [size for size, axis in zip(leaf.shape, leaf.axes, strict=True) if axis == role]
