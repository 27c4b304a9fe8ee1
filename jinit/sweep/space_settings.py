"""The space of a sweep from the keys and the table `[space]` of a TOML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinit.choice import check_choice
from jinit.sweep.between import Between, between
from jinit.sweep.counts import check_count
from jinit.sweep.search import random_search, sobol
from jinit.sweep.space import Space, grid

SEARCH_KEYS = ("search", "configurations", "search_seed")
"""Keys that say which configurations of the space are trained."""

_DRAWN = {"random": random_search, "sobol": sobol}
# Axes whose tables are no ranges; `grid` says that they need a list.
_NAMED_AXES = ("init", "optimizer", "activation")


def read_ranges(file: Path | None, axes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axes of a table `[space]` with a range for every table of numbers in it.

    Args:
      file: the file, for messages.
      axes: lists of values, and tables such as `{low = 1e-4, high = 1e-1, log = true}`.

    Raises:
      ValueError: if such a table lacks `low` or `high`, or has a wrong key or value.

    >>> read_ranges(None, {"depth": [2], "lr": {"low": 1e-4, "high": 1e-1, "log": True}})
    {'depth': [2], 'lr': Between(low=0.0001, high=0.1, log=True)}
    """
    return {
        name: _read_range(f"{file}: {name}", values) if _is_range(name, values) else values
        for name, values in axes.items()
    }


def build_space(file: Path | None, settings: Mapping[str, Any], axes: Mapping[str, Any]) -> Space:
    """Return the space that the axes and the keys `search`, `configurations` and `search_seed` say.

    Args:
      file: the file, for messages.
      settings: the keys of the file; by default `search = "grid"`.
      axes: the axes, from `read_ranges`.

    Raises:
      ValueError: if a key is wrong or does not go with the others, or an axis cannot work.

    >>> settings = {"search": "random", "configurations": 3}
    >>> len(build_space(None, settings, {"lr": between(1e-4, 1e-1, log=True)}).configs())
    3
    """
    search = check_choice(f"search in {file}:", settings.get("search", "grid"), ("grid", *_DRAWN))
    if search == "grid":
        _check_grid(file, settings, axes)
        return grid(**axes)
    if "configurations" not in settings:
        raise ValueError(
            f"{file}: search = {search!r} needs the number of configurations to draw, such as "
            "configurations = 64"
        )
    if reserved := [name for name in ("n", "seed") if name in axes]:
        raise ValueError(
            f"{file}: an axis {reserved[0]!r} cannot be drawn; rename it, or give seeds = 8"
        )
    n = check_count("configurations", settings["configurations"])
    return _DRAWN[search](n, seed=settings.get("search_seed", 0), **axes)


def _is_range(name: str, values: Any) -> bool:
    return isinstance(values, Mapping) and name not in _NAMED_AXES


def _read_range(place: str, table: Mapping[str, Any]) -> Between:
    for key in table:
        check_choice(f"key of {place} = {{...}}", key, ("low", "high", "log"))
    if missing := [key for key in ("low", "high") if key not in table]:
        raise ValueError(
            f"{place} is a range without {' and '.join(missing)}: write "
            "{low = 1e-4, high = 1e-1, log = true}, or a list of values"
        )
    try:
        return between(**table)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _check_grid(file: Path | None, settings: Mapping[str, Any], axes: Mapping[str, Any]) -> None:
    for name, values in axes.items():
        if isinstance(values, Between):
            raise ValueError(
                f"{file}: {name} is a range, and a grid needs a list of values: write "
                "search = 'random' (or 'sobol') and configurations = 64 above [space]"
            )
    for key in SEARCH_KEYS[1:]:
        if key in settings:
            raise ValueError(
                f"{file}: {key} is for search = 'random' or 'sobol', and a grid has every "
                "combination: add one of them, or leave the key out"
            )
