"""Conditions on paths: regular expressions, and the number of a layer."""

import difflib
import re
from collections.abc import Sequence


def regular_expression(regex: str) -> re.Pattern[str]:
    """The pattern compiled; an error that shows it otherwise."""
    try:
        return re.compile(regex)
    except re.error as error:
        raise ValueError(f"regex: {regex!r} is no regular expression: {error}") from None


def depth_of(path: str) -> int | None:
    """The first number in a path, which is the layer's index in most models.

    >>> depth_of("params/blocks_3/Dense_0/kernel")
    3
    """
    found = re.search(r"\d+", path)
    return int(found[0]) if found else None


def within(wanted: int | tuple[int, int] | None, depth: int | None) -> bool:
    """Whether a depth is the one that is wanted, or in the range of them."""
    if depth is None or wanted is None:
        return False
    return depth == wanted if isinstance(wanted, int) else wanted[0] <= depth < wanted[1]


def near(wanted: str, paths: Sequence[str]) -> list[str]:
    """Paths that look like what a condition asks for; the first ones if none does.

    >>> near("**/kernal", ["params/bias", "params/kernel"])
    ['params/kernel']
    """
    text = wanted.replace("*", "")
    return difflib.get_close_matches(text, paths, n=3, cutoff=0.4) or list(paths[:3])
