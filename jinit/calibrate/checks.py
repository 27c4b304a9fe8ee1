"""Checks of the options of methods."""

import math
from numbers import Real


def check_number(
    method: str, option: str, value: object, *, low: float = 0.0, is_low_allowed: bool = False
) -> None:
    """Raise unless an option is a finite number above a bound.

    Args:
      method: name of the method.
      option: name of the option.
      value: its value.
      low: the bound.
      is_low_allowed: whether the bound itself is allowed.

    Raises:
      ValueError: if it is not.

    >>> check_number("lsuv", "target", -1)
    Traceback (most recent call last):
    ValueError: lsuv: target=-1, expected a number above 0
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    number = float(value) if is_number and isinstance(value, Real) else math.nan
    if not math.isfinite(number) or number < low or (number == low and not is_low_allowed):
        kind = "of at least" if is_low_allowed else "above"
        raise ValueError(f"{method}: {option}={value!r}, expected a number {kind} {low:g}")


def check_whole(method: str, option: str, value: object, low: int = 1) -> None:
    """Raise unless an option is an integer of at least a bound.

    Args:
      method: name of the method.
      option: name of the option.
      value: its value.
      low: the bound.

    Raises:
      ValueError: if it is not.

    >>> check_whole("lsuv", "passes", 0)
    Traceback (most recent call last):
    ValueError: lsuv: passes=0, expected an integer of at least 1
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{method}: {option}={value!r}, expected an integer of at least {low}")
