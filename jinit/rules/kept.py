"""Parameters that are kept instead of drawn."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model import Model, PyTree, compile_glob, leaf_paths

_KINDS = {
    "truth values": jnp.bool_,
    "integers": jnp.integer,
    "real numbers": jnp.floating,
    "complex numbers": jnp.complexfloating,
    "random keys": jax.dtypes.prng_key,
}


def find_kept(model: Model, only: str | Sequence[str] | None, keep: PyTree) -> dict[str, Any]:
    """Return the parameters that are not drawn, by path.

    Args:
      model: the model that the parameters belong to.
      only: globs of paths to draw; all other parameters come from `keep`.
      keep: tree of parameters to keep; with `only`, those outside it.

    Raises:
      TypeError: if `keep` is not a tree of arrays, or an array holds another kind of values than
        the model's.
      ValueError: if `only` matches nothing, a parameter is neither drawn nor kept, or a kept one
        has another shape.
    """
    loaded = _read_kept(model, keep)
    globs = (only,) if isinstance(only, str) else tuple(only or ())
    for glob in globs:
        if not any(map(compile_glob(glob).fullmatch, model.paths)):
            raise ValueError(f"only: {glob!r} matches no parameter; there are {path_list(model)}")
    kept = {}
    for path, aval in zip(model.paths, jax.tree.leaves(model.params), strict=True):
        if any(compile_glob(glob).fullmatch(path) for glob in globs):
            continue
        if path in loaded:
            _check_kept(path, loaded[path], aval)
            kept[path] = loaded[path]
        elif globs:
            raise ValueError(
                f"only: {path} does not match {', '.join(globs)} and so has to come from keep, "
                "which does not have it; give keep= the tree of loaded parameters"
            )
    return kept


def _read_kept(model: Model, keep: PyTree) -> dict[str, Any]:
    """Return the values of `keep` by path; the functions of a module are left out."""
    tree = model.unwrap(keep)
    loaded = dict(zip(leaf_paths(tree), jax.tree.leaves(tree), strict=True))
    is_leaf = jax.tree_util.all_leaves([keep]) and keep is not None
    if is_leaf and not set(loaded) & set(model.paths):
        raise TypeError(
            f"keep: expected a tree of parameters like the model's, got {type(keep).__name__}; "
            "give what jinit.init(model, key) returns, or part of it"
        )
    values = {path: leaf for path, leaf in loaded.items() if not callable(leaf)}
    if unknown := sorted(set(values) - set(model.paths)):
        raise ValueError(
            f"keep: the model does not have {', '.join(unknown[:5])}; there are {path_list(model)}"
        )
    return values


def _check_kept(path: str, value: Any, aval: Any) -> None:
    """Raise unless a value has the shape, and holds the kind of values, of a parameter."""
    kind, expected = _kind(path, value), _kind(path, aval)
    if isinstance(value, jax.ShapeDtypeStruct):
        raise TypeError(f"keep: {path} is a shape without values; take it out of keep to draw it")
    if kind != expected:
        raise TypeError(
            f"keep: {path} holds {kind} ({jnp.result_type(value)}), but the model's "
            f"{expected} ({aval.dtype}); convert it, or take it out of keep to draw it anew"
        )
    if jnp.shape(value) != aval.shape:
        raise ValueError(
            f"keep: {path} has shape {jnp.shape(value)}, but the model's has {aval.shape}; take it "
            "out of keep to draw it anew"
        )


def _kind(path: str, value: Any) -> str:
    """Return the kind of the values of an array."""
    try:
        dtype = jnp.result_type(value)
    except (TypeError, ValueError):
        dtype = np.dtype(object)
    for name, category in _KINDS.items():
        if jnp.issubdtype(dtype, category):
            return name
    raise TypeError(f"keep: {path}: expected an array, got {type(value).__name__}")


def path_list(model: Model) -> str:
    """Return the first paths of a model, for a message.

    Args:
      model: the model.
    """
    shown = ", ".join(model.paths[:5])
    return f"{shown}, ..." if len(model.paths) > 5 else shown
