"""Options that are one of a few words."""

import difflib
from collections.abc import Iterable
from typing import TypeVar

Word = TypeVar("Word", bound=str)


def one_of(option: str, value: Word, known: Iterable[Word]) -> Word:
    """`value` if it is among `known`; else a ValueError that names the nearest known words."""
    words = tuple(known)
    if value in words:
        return value
    near = difflib.get_close_matches(str(value), words, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise ValueError(
        f"unknown {option} {value!r}; {hint or 'expected one of: ' + ', '.join(words)}"
    )
