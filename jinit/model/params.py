"""Trees of parameters that must match the model's."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

PyTree = Any
"""A nest of tuples, lists, dicts and registered classes, with arrays as leaves."""


def flatten_like(paths: Sequence[str], abstract: PyTree, params: PyTree) -> list[Any]:
    """Return the leaves of `params`, a tree that must match the `abstract` one.

    Args:
      paths: paths of the leaves, for the messages.
      abstract: tree of arrays or shapes.
      params: the tree to flatten.

    Raises:
      ValueError: if the trees differ, or the shapes of two leaves do.
    """
    expected, given = jax.tree.structure(abstract), jax.tree.structure(params)
    if expected != given:
        raise ValueError(
            f"expected parameters like the model's, {_tree_text(expected)}, got "
            f"{_tree_text(given)}; give what jinit.init(model, key) returns, or a tree that was "
            "trained from it"
        )
    leaves = jax.tree.leaves(params)
    for path, like, leaf in zip(paths, jax.tree.leaves(abstract), leaves, strict=True):
        if tuple(np.shape(leaf)) != tuple(like.shape):
            raise ValueError(
                f"{path}: expected shape {tuple(like.shape)}, got {tuple(np.shape(leaf))}"
            )
    return leaves


def _tree_text(tree: Any) -> str:
    text = str(tree).removeprefix("PyTreeDef(").removesuffix(")")
    return text if len(text) < 200 else f"{text[:200]} ..."
