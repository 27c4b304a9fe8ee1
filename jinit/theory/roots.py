"""Roots of functions of one number."""

from collections.abc import Callable


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return a root between `low` and `high`, where the function has different signs."""
    from scipy import optimize  # heavy: it would double the time of `import jinit`

    return optimize.root_scalar(function, bracket=[low, high], xtol=1e-14, rtol=1e-13).root
