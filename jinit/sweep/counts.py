"""Integers that options take, checked when the option is given."""

import operator
from typing import SupportsIndex, cast


def as_integer(value: object) -> int | None:
    """Return a Python or NumPy integer as an int; None for anything else, including bool.

    >>> as_integer(3), as_integer(3.0), as_integer(True)
    (3, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        return operator.index(cast(SupportsIndex, value))
    except TypeError:
        return None


def check_count(option: str, value: object) -> int:
    """Return `value` as an int of at least 1.

    Args:
      option: name of the option, for the message.
      value: the value given.

    Returns:
      The value.

    Raises:
      ValueError: if `value` is not an integer of at least 1.

    >>> check_count("steps", 0)
    Traceback (most recent call last):
    ValueError: steps: expected an integer of at least 1, got 0
    """
    count = as_integer(value)
    if count is None or count < 1:
        raise ValueError(f"{option}: expected an integer of at least 1, got {value!r}")
    return count
