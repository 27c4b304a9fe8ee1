"""Draw the parameters of a model by initializers that are given by path."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, Sharding

from jinit.model import Model, PyTree, compile_glob, leaf_paths
from jinit.programs.keys import wrap_key
from jinit.programs.parameters import draw_parameters

Shardings: TypeAlias = Sharding | Mesh | PyTree | None
"""One sharding for all parameters, a tree of them, a mesh, or None."""


def draw_model(
    model: Model,
    key: Array,
    initializers: Mapping[str, Callable[..., Array]],
    *,
    dtype: jax.typing.DTypeLike | None = None,
    sharding: Shardings = None,
    only: str | Sequence[str] | None = None,
    keep: PyTree = None,
) -> PyTree:
    """Return the parameters of a model, as `jinit.init` does.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      key: one random key for the whole model.
      initializers: initializers by path; a parameter that has none is drawn as the model does.
      dtype: dtype of floating-point parameters; None for the model's own.
      sharding: one sharding for all parameters, a tree of them, or a mesh.
      only: globs of paths to draw; all other parameters come from `keep`.
      keep: tree of parameters to keep; with `only`, those outside it.

    Raises:
      TypeError: if `key` is not a random key.
      ValueError: if `key` holds several keys, `only` matches nothing, a parameter is neither drawn
        nor kept, a kept one has another shape, or an initializer is missing and the model has none
        of its own.
    """
    key, kept = _read_key(key), _find_kept(model, only, keep)
    avals = {
        path: _requested_aval(aval, dtype)
        for path, aval in zip(model.paths, jax.tree.leaves(model.params), strict=True)
        if path not in kept
    }
    shardings = dict(zip(model.paths, _read_shardings(model, sharding), strict=True))
    arrays = kept | draw_parameters(model, key, initializers, avals, shardings, kept)
    tree = jax.tree.structure(model.params)
    return model.wrap(jax.tree.unflatten(tree, [arrays[path] for path in model.paths]), key)


def _read_key(key: Any) -> Array:
    """Return one typed key; a key of `jax.random.PRNGKey` is wrapped."""
    dtype = getattr(key, "dtype", np.dtype(object))
    if dtype != np.uint32 and not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise TypeError(
            f"init: expected a random key, got {type(key).__name__}: make one with "
            "jax.random.key(seed)"
        )
    try:
        typed = wrap_key(key)
    except (TypeError, ValueError):
        raise TypeError(
            f"init: expected a random key, got an integer array of shape {np.shape(key)}: make one "
            "with jax.random.key(seed)"
        ) from None
    if typed.ndim:
        raise ValueError(
            f"init: expected one key, got an array of keys of shape {typed.shape}; for a model per "
            "key, write jax.vmap(lambda key: jinit.init(model, key))(keys)"
        )
    return typed


def _requested_aval(aval: Any, dtype: Any) -> jax.ShapeDtypeStruct:
    """Return the shape, with the requested dtype if there is one and the values are floating."""
    floating = dtype is not None and jnp.issubdtype(aval.dtype, jnp.floating)
    return jax.ShapeDtypeStruct(aval.shape, np.dtype(dtype) if floating else aval.dtype)


def _find_kept(model: Model, only: str | Sequence[str] | None, keep: PyTree) -> dict[str, Any]:
    """Return the parameters that are not drawn, by path."""
    loaded = _read_kept(model, keep)
    globs = (only,) if isinstance(only, str) else tuple(only or ())
    for glob in globs:
        if not any(map(compile_glob(glob).fullmatch, model.paths)):
            raise ValueError(f"only: {glob!r} matches no parameter; there are {_path_list(model)}")
    kept = {}
    for path, aval in zip(model.paths, jax.tree.leaves(model.params), strict=True):
        if any(compile_glob(glob).fullmatch(path) for glob in globs):
            continue
        if path in loaded:
            kept[path] = _check_kept(path, loaded[path], aval)
        elif globs:
            raise ValueError(
                f"only: {path} does not match {', '.join(globs)} and so has to come from keep, "
                "which does not have it; give keep= the tree of loaded parameters"
            )
    return kept


def _read_kept(model: Model, keep: PyTree) -> dict[str, Any]:
    keep = model.unwrap(keep)
    loaded = dict(zip(leaf_paths(keep), jax.tree.leaves(keep), strict=True))
    arrays = {path for path, leaf in loaded.items() if hasattr(leaf, "shape")}
    if unknown := sorted(arrays - set(model.paths)):
        raise ValueError(
            f"keep: the model does not have {', '.join(unknown[:5])}; there are {_path_list(model)}"
        )
    return loaded


def _check_kept(path: str, value: Any, aval: Any) -> Any:
    if jnp.shape(value) != aval.shape:
        raise ValueError(
            f"keep: {path} has shape {jnp.shape(value)}, but the model's has {aval.shape}; take it "
            "out of keep to draw it anew"
        )
    return value


def _read_shardings(model: Model, sharding: Shardings) -> list[Sharding | None]:
    """Return the sharding of every parameter, or None."""
    if sharding is None or isinstance(sharding, Sharding):
        return [sharding] * len(model.paths)
    if isinstance(sharding, Mesh):
        if model.annotated_shardings is None:
            raise ValueError(
                "sharding: this model has no annotations of its own to lay out over a mesh; give a "
                "sharding, or a tree of them"
            )
        sharding = model.annotated_shardings(sharding)
    return jax.tree.structure(model.params).flatten_up_to(sharding)


def _path_list(model: Model) -> str:
    """Return the first paths of a model, for a message."""
    shown = ", ".join(model.paths[:5])
    return f"{shown}, ..." if len(model.paths) > 5 else shown
