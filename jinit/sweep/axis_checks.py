"""Checks of the values of one axis, with errors that say what to write."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jinit.sweep.axis_values import read_value, record_value, value_identity
from jinit.sweep.between import Between

# Training takes numbers as float32.
_LARGEST = float(np.finfo(np.float32).max)


def read_axis(place: str, name: str, values: Any) -> tuple[Any, ...]:
    """Return the values of an axis, read one by one.

    Args:
      place: the function that was called, for the messages.
      name: name of the axis.
      values: its values.

    Raises:
      ValueError: if the axis is called `seed`, or `values` is empty or not a list.

    >>> read_axis("grid", "lr", range(2))
    (0, 1)
    """
    if name in ("seed", "seeds"):
        raise ValueError(
            f"{place}: seeds are replicates of every configuration, not an axis to search over; "
            "give Sweep(..., seeds=8) instead"
        )
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        is_range = isinstance(values, Between) and place in ("grid", "zipped")
        hint = "; jinit.random_search(n, ...) draws from a range" if is_range else ""
        raise ValueError(
            f"{place}: axis {name!r} needs a list of values, got {values!r}: use [...]{hint}"
        )
    if not (read := tuple(read_value(name, value) for value in values)):
        raise ValueError(f"{place}: axis {name!r} is empty; give it at least one value")
    return read


def check_axis(place: str, name: str, values: Sequence[Any]) -> None:
    """Raise if records could not distinguish the values of an axis, or a number is too large.

    Args:
      place: the function that was called, for the messages.
      name: name of the axis.
      values: its values, each of them once.

    Raises:
      ValueError: if values have no name or the same name, numbers and words are mixed, or a number
        is not finite or not distinct in float32.

    >>> check_axis("grid", "lr", (0.1, "auto"))
    Traceback (most recent call last):
    ValueError: grid: axis 'lr' mixes numbers and words, and a column of the records has one type...
    """
    recorded = [record_value(value) for value in values]
    here = f"{place}: axis {name!r}"
    _check_addresses(here, recorded)
    _check_kinds(here, recorded)
    _check_repeated(here, values, recorded)
    _check_lambdas(here, values, recorded)
    _check_numbers(here, recorded)


def _check_addresses(here: str, recorded: Sequence[Any]) -> None:
    for value in recorded:
        if isinstance(value, str) and re.search(r" at 0x[0-9a-fA-F]+", value):
            raise ValueError(
                f"{here} has a value without a name: {value}; its address in memory would be "
                "recorded. Give a function, a functools.partial, or a word for build"
            )


def _check_kinds(here: str, recorded: Sequence[Any]) -> None:
    if len(kinds := sorted({_value_kind(value) for value in recorded})) > 1:
        raise ValueError(
            f"{here} mixes {' and '.join(kinds)}, and a column of the records has one type: "
            f"{recorded}; write them all as words, and let build convert them"
        )


def _value_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth values"
    return "numbers" if isinstance(value, int | float) else "words"


def _check_repeated(here: str, values: Sequence[Any], recorded: Sequence[Any]) -> None:
    identities = list(map(value_identity, values))
    counts, equal = Counter(recorded), Counter(identities)
    pairs = zip(recorded, identities, strict=True)
    if repeated := sorted({str(each) for each, i in pairs if max(counts[each], equal[i]) > 1}):
        raise ValueError(
            f"{here} has the same value twice: {', '.join(repeated)}; records distinguish values "
            "by their names, so functions need different names"
        )


def _check_lambdas(here: str, values: Sequence[Any], recorded: Sequence[Any]) -> None:
    for value, text in zip(values, recorded, strict=True):
        if not isinstance(value, str) and "<lambda>" in str(text):
            raise ValueError(
                f"{here} has a lambda, and records name functions: {text}; write `def` and a name"
            )


def _check_numbers(here: str, recorded: Sequence[Any]) -> None:
    seen: dict[float, Any] = {}
    for value in recorded:
        if isinstance(value, bool | str):
            continue
        if not abs(value) <= _LARGEST:  # NaN is not
            raise ValueError(
                f"{here}: expected finite numbers, at most {_LARGEST:.4g} in size, the largest "
                f"of float32, got {value!r}"
            )
        other = seen.setdefault(float(np.float32(value)), value)
        if other is not value and isinstance(other + value, float):
            raise ValueError(
                f"{here} has {other!r} and {value!r}, which are one number in float32, and "
                "training takes float32: leave one of them out"
            )
