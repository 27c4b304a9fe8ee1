"""The names of parameters: the way to each through the tree that holds it."""

import re
from typing import Any

import jax


def paths_of(tree: Any) -> tuple[str, ...]:
    """The `/`-joined path of every leaf, in the order of the tree.

    >>> paths_of({"b": 1, "a": {"c": 2}})
    ('a/c', 'b')
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return tuple(jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in flat)


def glob(pattern: str) -> re.Pattern[str]:
    """A glob over paths as a regular expression for the whole of one.

    `*` stands for part of a name, `**` for any number of names, `?` for one character.

    >>> bool(glob("**/kernel").fullmatch("params/Dense_0/kernel"))
    True
    """
    parts = re.split(r"(\*\*/|/\*\*|\*\*|\*|\?)", pattern)
    words = {"**/": "(?:.*/)?", "/**": "(?:/.*)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts))
