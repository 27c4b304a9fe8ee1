"""Conditions of a rule: their checks, and how they match paths and shapes."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from jinit.choice import check_choice
from jinit.model import AXIS_ROLES

_AXIS_SEPARATOR = "·"
"""Joins the roles of an axis that has several."""


def compile_regex(regex: str) -> re.Pattern[str]:
    """Return the compiled regular expression; raise a ValueError that shows it if it is invalid."""
    try:
        return re.compile(regex)
    except re.error as error:
        raise ValueError(f"regex: {regex!r} is not a regular expression: {error}") from None


def check_text(name: str, value: Any) -> None:
    """Raise if a condition that is given is not text."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name}: expected text, got {value!r}")


def check_flag(name: str, value: Any) -> None:
    """Raise if a condition is not True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {value!r}")


def read_shape(shape: Any) -> tuple[int | None, ...]:
    """Return the sizes of a shape; raise if it is not a sequence of sizes and None."""
    sizes = _read_sequence("shape", shape, "sizes such as (None, 64)")
    if not all(size is None or _is_count(size) for size in sizes):
        raise TypeError(f"shape: expected sizes, and None for any size, got {shape!r}")
    return sizes


def read_axes(axes: Any) -> tuple[str, ...]:
    """Return the roles of axes; raise if one of them is unknown."""
    roles = _read_sequence("axes", axes, "roles such as ('in', 'out')")
    for role in roles:
        for part in str(role).split(_AXIS_SEPARATOR):
            check_choice("axis", part, AXIS_ROLES)
    return roles


def read_depth_condition(depth: Any) -> int | tuple[int, int]:
    """Return a depth, or a range of depths; raise if it is neither."""
    if _is_count(depth):
        return depth
    bounds = tuple(depth) if isinstance(depth, list | tuple) else ()
    if len(bounds) != 2 or not all(map(_is_count, bounds)):
        raise TypeError(
            f"depth: expected a number such as 2, or a range such as (2, 5), which is 2, 3 and 4, "
            f"got {depth!r}"
        )
    if bounds[0] >= bounds[1]:
        raise ValueError(f"depth: {bounds} is empty: a range excludes its end")
    return bounds


def _read_sequence(name: str, value: Any, example: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{name}: expected a sequence of {example}, got {value!r}")
    return tuple(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def read_depth(path: str) -> int | None:
    """Return the first number in a path, which is the layer's index in most models.

    >>> read_depth("params/blocks_3/Dense_0/kernel")
    3
    """
    number = re.search(r"\d+", path)
    return int(number[0]) if number else None


def is_in_range(wanted: int | tuple[int, int] | None, depth: int | None) -> bool:
    """Return whether a depth is the wanted one, or in the wanted range, which excludes its end."""
    if depth is None or wanted is None:
        return False
    return depth == wanted if isinstance(wanted, int) else wanted[0] <= depth < wanted[1]


def has_sizes(wanted: Sequence[int | None], shape: Sequence[int]) -> bool:
    """Return whether a shape has the wanted sizes, of which None matches any size."""
    return len(wanted) == len(shape) and all(
        size in (None, actual) for size, actual in zip(wanted, shape, strict=True)
    )
