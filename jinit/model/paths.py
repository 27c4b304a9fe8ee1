"""Paths of parameters, and globs over them."""

import re
from collections.abc import Sequence
from typing import Any

import jax

from jinit.choice import closest


def leaf_paths(tree: Any) -> tuple[str, ...]:
    """Return the `/`-joined path of every leaf, in the order of the tree.

    Args:
      tree: any pytree.

    >>> leaf_paths({"b": 1, "a": {"c": 2}})
    ('a/c', 'b')
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return tuple(jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in flat)


def check_distinct(paths: Sequence[str]) -> None:
    """Raise if two parameters have the same path, because a name contains the separator.

    Args:
      paths: paths of all parameters.

    Raises:
      ValueError: if a path occurs twice.

    >>> check_distinct(leaf_paths({"a": {"b": 1, "c": 2}}))
    """
    if len(set(paths)) < len(paths):
        path = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(
            f"two parameters have the path {path!r}, and jinit knows parameters by their path: a "
            "name in the tree contains '/', such as 'a/b' next to 'a' with an entry 'b'; rename "
            "one of them"
        )


def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return a glob over paths as a regular expression, to be used with `fullmatch`.

    `*` stands for part of a name, `**` for any number of names, `?` for one character.

    Args:
      pattern: the glob.

    >>> bool(compile_glob("**/kernel").fullmatch("params/Dense_0/kernel"))
    True
    """
    parts = re.split(r"(\*\*/|/\*\*|\*\*|\*|\?)", pattern)
    wildcards = {"**/": "(?:.*/)?", "/**": "(?:/.*)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wildcards.get(part, re.escape(part)) for part in parts))


def closest_paths(wanted: str, paths: Sequence[str]) -> list[str]:
    """Return paths similar to a path or glob; the first paths if none is similar.

    Args:
      wanted: the path or glob that matches nothing.
      paths: the paths that exist.

    >>> closest_paths("**/kernal", ["params/bias", "params/kernel"])
    ['params/kernel']
    """
    return closest(wanted.replace("*", ""), paths, cutoff=0.4) or list(paths[:3])
