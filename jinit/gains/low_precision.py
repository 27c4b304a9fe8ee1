"""Find parameters that were drawn in a narrow floating-point dtype, whatever their dtype is now."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jinit.gains.equal_arrays import read_numbers

MAX_ENTRIES = 2**16
"""Entries that are looked at, from the beginning of the array."""

_UNIFORM_LEVELS = {"bfloat16": 2**7, "float16": 2**10}
"""Distinct values of a uniform number that JAX draws in a dtype, one for each of its mantissas.
Every other distribution is a monotone function of it, so that it has as many."""

_ENTRIES_PER_LEVEL = 2
"""Entries per level from which on an array can be judged: 86 % of the levels then occur."""

_DEVIATIONS = 6.0
"""Standard deviations by which a number of distinct values or a correlation may differ from the
expected one: a normal variable differs by more with probability 2e-9."""

_MIN_SHARE = 0.75
"""Share of the expected number of distinct values that must occur: scaling in a narrow dtype merges
a few neighbors."""

_MAX_DISPERSION = 2.0
_MIN_DISPERSION = 0.4
"""Variance over mean of how often each value occurs: about 1 for independent draws, 0 for a table
that is repeated, and far above 2 for rounded numbers, whose spacing doubles with every power of 2.
"""

_MIN_SPACING = 1.5
"""Median distance of neighboring values, in numbers of their dtype, below which rounding alone
explains that there are few."""

_BOUND_DEVIATIONS = 4.0
"""Standard deviations from the mean beyond which the smallest or largest value is one at which a
truncated distribution was cut: of 128 equally likely normal numbers the largest is at 2.7."""

_STANDARD_ERRORS = 5.0
"""Standard errors from which on a mean counts as biased."""


class _Levels(NamedTuple):
    """The distinct values of an array, in ascending order, and how often each occurs."""

    values: np.ndarray
    counts: np.ndarray

    @property
    def total(self) -> int:
        return int(self.counts.sum())


def low_precision_cause(leaf: Any) -> str:
    """Return why the values of a parameter were drawn in a narrow dtype; empty if they were not.

    JAX draws a uniform number of bfloat16 from 128 equally likely values, one of float16 from
    1,024, and makes normal and truncated normal numbers of it. A draw in float32 that is rounded
    has thousands. Values that repeat by design (signs, zeros, tables, copies) are equally likely
    only by exact repetition, which independent draws do not show. An array drawn in float32, or
    rounded from such a draw, is accused with a probability below 1e-9.

    Args:
      leaf: the parameter's values.

    >>> import jax
    >>> narrow = jax.random.normal(jax.random.key(0), (64, 64), "bfloat16")
    >>> low_precision_cause(narrow.astype("float32"))[:40]
    'drawn in bfloat16: 128 distinct values ('
    >>> low_precision_cause(jax.random.normal(jax.random.key(0), (64, 64)).astype("bfloat16"))
    ''
    """
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return ""
    array = read_numbers(leaf).reshape(-1)
    row = leaf.shape[-1] if leaf.ndim > 1 else 1
    infinite = int(np.isneginf(array).sum())
    if infinite:
        return (
            f"{infinite} of {array.size} entries are -inf, the logarithm of an exact zero, which a "
            "uniform number drawn in bfloat16 is once in 128 times"
        )
    sample = array[:MAX_ENTRIES]
    levels = _find_levels(sample)
    for dtype, count in _UNIFORM_LEVELS.items():
        if not _has_drawn_levels(levels, count) or _is_rounded(levels):
            continue
        if not any(_is_correlated(sample, lag) for lag in (1, row)):
            return f"drawn in {dtype}: {_damage_text(array, levels, count)}"
    return ""


def _find_levels(sample: np.ndarray) -> _Levels:
    """Return the distinct values without zero, which masks put in."""
    values, counts = np.unique(sample[np.isfinite(sample)], return_counts=True)
    return _Levels(values[values != 0], counts[values != 0])


def _has_drawn_levels(levels: _Levels, count: int) -> bool:
    """Return whether the values may be independent draws from `count` equally likely ones."""
    if levels.total < _ENTRIES_PER_LEVEL * count:
        return False
    missing = math.exp(-levels.total / count)
    expected, deviation = count * (1 - missing), math.sqrt(count * missing)
    distinct = len(levels.values)
    if not _MIN_SHARE * expected < distinct <= min(count, expected + _DEVIATIONS * deviation):
        return False
    usual = np.sort(levels.counts)[: -max(2, distinct // 50)]  # without mass at the bounds
    return _MIN_DISPERSION < usual.var() / usual.mean() < _MAX_DISPERSION


def _is_correlated(sample: np.ndarray, lag: int) -> bool:
    """Return whether entries at a distance of `lag` are correlated, as in tables and not in draws.

    The correlation of n independent entries has standard deviation 1/√n.
    """
    centered = sample - sample.mean()
    covariance = np.mean(centered[:-lag] * centered[lag:]) if lag < sample.size else 0.0
    return bool(abs(covariance) * math.sqrt(sample.size) > _DEVIATIONS * centered.var())


def _is_rounded(levels: _Levels) -> bool:
    """Return whether the values are neighbors in the narrowest dtype that holds all of them."""
    gaps = np.diff(levels.values)
    magnitudes = np.maximum(np.abs(levels.values[:-1]), np.abs(levels.values[1:]))
    spacings = np.exp2(np.floor(np.log2(magnitudes))) * _narrowest_epsilon(levels.values)
    return bool(np.median(gaps / spacings) < _MIN_SPACING)


def _narrowest_epsilon(values: np.ndarray) -> float:
    """Return the spacing at 1 of the narrowest floating-point dtype that holds all values."""
    for dtype in (jnp.bfloat16, jnp.float16):
        if np.array_equal(values.astype(dtype).astype(values.dtype), values):
            return float(jnp.finfo(dtype).eps)
    return float(np.finfo(values.dtype).eps)


def _damage_text(array: np.ndarray, levels: _Levels, count: int) -> str:
    """Return the number of distinct values, and the bias and the mass at a bound if there are."""
    parts = [f"{len(levels.values)} distinct values (drawn in float32, it has thousands)"]
    std, mean = float(array.std()), float(array.mean())
    errors = abs(mean) * math.sqrt(array.size) / std if std else 0.0
    if errors > _STANDARD_ERRORS and abs(mean) < 0.1 * std:
        parts.append(
            f"a mean of {mean / std:.2g} standard deviations, {errors:.0f} standard errors"
        )
    parts += [
        f"{100 * count / levels.total:.2g} % of them at the bound {value:.3g}"
        for value, count in zip(levels.values[[0, -1]], levels.counts[[0, -1]], strict=True)
        if abs(value - mean) > _BOUND_DEVIATIONS * std
    ]
    zeros = int((array == 0).sum())
    if 0 < zeros < 2 * array.size / count:
        parts.append(f"{zeros} exact {'zero' if zeros == 1 else 'zeros'}")
    return "; ".join(parts)
