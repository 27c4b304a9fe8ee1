"""Options that are one of a few words, and suggestions for words that are not."""

import difflib
from collections.abc import Iterable
from typing import TypeVar

_Choice = TypeVar("_Choice", bound=str)
_MOST_SHOWN = 20
"""Largest number of words that a message lists."""


def closest(word: object, known: Iterable[str], cutoff: float = 0.5) -> list[str]:
    """Return at most three of the known words that resemble `word`, the most similar first.

    If none does, those that begin with it are meant, such as `he_normal` by `he`. Upper and lower
    case count as the same.

    Args:
      word: the word to look for; anything but a string is compared by its text.
      known: the words to choose from.
      cutoff: smallest similarity, from 0 (nothing in common) to 1 (equal).

    >>> closest("orthogonl", ["orthogonal", "normal"], cutoff=0.8)
    ['orthogonal']
    >>> closest("HE_NORMAL", ["he_normal", "zeros"]), closest("he", ["he_normal", "zeros"])
    (['he_normal'], ['he_normal'])
    """
    by_lower_case = {name.lower(): name for name in known}
    near = difflib.get_close_matches(str(word).lower(), list(by_lower_case), n=3, cutoff=cutoff)
    begins = [name for name in by_lower_case if name.startswith(f"{str(word).lower()}_")]
    return [by_lower_case[name] for name in near or begins[:3]]


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return a question that names the known words which resemble `word`; empty if none does.

    Args:
      word: the unknown word.
      known: the words to choose from.

    >>> suggestion("fan_inn", ["fan_in", "fan_out"])
    "did you mean 'fan_in' or 'fan_out'?"
    """
    near = closest(word, known)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def check_choice(option: str, value: _Choice, choices: Iterable[_Choice]) -> _Choice:
    """Return `value` if it is one of the choices.

    Args:
      option: name of the option, for the message.
      value: what the user gave.
      choices: the known words.

    Raises:
      ValueError: if it is not; the message names similar words, or the first words if none is
        similar.

    >>> check_choice("mode", "fan_in", ("fan_in", "fan_out"))
    'fan_in'
    """
    words = tuple(choices)
    if value in words:
        return value
    more = ", ..." if len(words) > _MOST_SHOWN else ""
    known = f"expected one of: {', '.join(map(str, words[:_MOST_SHOWN]))}{more}"
    hint = suggestion(value, words) or known
    raise ValueError(f"unknown {option} {value!r}; {hint}")
