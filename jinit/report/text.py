"""Numbers and labels as short text for people."""

import math
from collections.abc import Sequence

UNKNOWN_TEXT = "–"
"""Shown in place of a number that is not known."""


def escape_unprintable(text: str) -> str:
    r"""Return the text with every character that could control a terminal escaped.

    >>> escape_unprintable("he" + chr(27) + "[31m")
    'he\\x1b[31m'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def value_text(value: object) -> str:
    """Return the value of an axis as text.

    >>> value_text(0.001), value_text("relu"), value_text(8)
    ('0.001', 'relu', '8')
    """
    return f"{value:g}" if isinstance(value, float) else escape_unprintable(str(value))


def compact_text(value: float, digits: int = 2) -> str:
    """Return a number with `digits` significant digits and an exponent without padding.

    >>> compact_text(0.0312), compact_text(1.3e6), compact_text(1e-9), compact_text(float("nan"))
    ('0.031', '1.3e6', '1e-9', '–')
    """
    if math.isnan(value):
        return UNKNOWN_TEXT
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def interval_text(value: float, half_width: float) -> str:
    """Return `value ± half_width`, with two significant digits of the half-width.

    >>> interval_text(0.08123, 0.0041), interval_text(0.08123, math.inf), interval_text(2.0, 0.0)
    ('0.0812 ± 0.0041', '0.0812', '2 ± 0')
    """
    if not math.isfinite(half_width):
        return compact_text(value, 3)
    if half_width == 0 or abs(value) >= 1e5:
        return f"{compact_text(value, 3)} ± {compact_text(half_width)}"
    decimals = max(0, 1 - math.floor(math.log10(half_width)))
    return f"{value:.{decimals}f} ± {half_width:.{decimals}f}"


def join_names(names: Sequence[str], conjunction: str = "and", most: int = 6) -> str:
    """Return names as a list in a sentence; more than `most` names are cut and counted.

    Args:
      names: the names, at least one.
      conjunction: the word before the last name.
      most: number of names shown before the others are counted.

    Returns:
      The list, such as `a, b and c`.

    >>> join_names(["zeros", "ones"]), join_names(["a", "b", "c"], conjunction="or")
    ('zeros and ones', 'a, b or c')
    >>> join_names(list("abcdefgh"))
    'a, b, c, d, e, f and 2 others'
    """
    if len(names) <= most + 1:
        *first, last = names
    else:
        first, last = list(names[:most]), f"{len(names) - most} others"
    return f"{', '.join(first)} {conjunction} {last}" if first else last
