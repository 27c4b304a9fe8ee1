"""Checks of arguments that several functions of the theory share."""

import math


def check_variance(name: str, value: float) -> float:
    """Return a variance as a float; raise unless it is finite and above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a finite variance above 0, got {value!r}")
    return float(value)


def check_bias_variance(value: float) -> None:
    """Raise unless `sigma_b2` is a finite variance of at least 0."""
    if not 0 <= value < math.inf:
        raise ValueError(f"sigma_b2: expected a finite variance of at least 0, got {value!r}")


def check_correlation(c: float) -> float:
    """Return a correlation as a float; raise unless it lies in [-1, 1]."""
    if not -1 <= c <= 1:
        raise ValueError(f"c: expected a correlation from -1 to 1, got {c!r}")
    return float(c)


def check_depth(depth: int, minimum: int = 1) -> None:
    """Raise unless a number of layers is at least `minimum`."""
    if not depth >= minimum:
        layers = "layer" if minimum == 1 else "hidden layers"
        raise ValueError(f"depth: expected at least {minimum} {layers}, got {depth!r}")


def check_above(name: str, value: float, bound: float) -> None:
    """Raise unless a number is finite and above `bound`."""
    if not bound < value < math.inf:
        raise ValueError(f"{name}: expected a finite number above {bound}, got {value!r}")


def check_width(function_name: str, width: float) -> int:
    """Return a layer width as an integer; raise unless it is an integer of at least 1."""
    if not (width >= 1 and width == int(width)):
        raise ValueError(f"{function_name}: expected integer widths of at least 1, got {width!r}")
    return int(width)
