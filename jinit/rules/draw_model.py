"""Draw the parameters of a model by initializers that are given by path."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, Sharding

from jinit.model import Model, PyTree
from jinit.programs.keys import wrap_key
from jinit.programs.parameters import draw_parameters
from jinit.rules.kept import find_kept
from jinit.sampling import check_dtype, check_key

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
      TypeError: if `key` is not a random key, `dtype` not a floating dtype, or `keep` not a tree
        of the model's kinds of values.
      ValueError: if `key` holds several keys, `dtype` needs JAX's 64-bit types and they are off,
        `only` matches nothing, a parameter is neither drawn nor kept, a kept one has another
        shape, or an initializer is missing and the model has none of its own.
    """
    key, kept, requested = read_key(key), find_kept(model, only, keep), _read_dtype(dtype)
    avals = {
        path: _requested_aval(aval, requested)
        for path, aval in zip(model.paths, jax.tree.leaves(model.params), strict=True)
        if path not in kept
    }
    _check_values(model, initializers, avals)
    shardings = dict(zip(model.paths, _read_shardings(model, sharding), strict=True))
    arrays = kept | draw_parameters(model, key, initializers, avals, shardings, kept)
    tree = jax.tree.structure(model.params)
    return model.wrap(jax.tree.unflatten(tree, [arrays[path] for path in model.paths]), key)


def read_key(key: Any) -> Array:
    """Return one typed key; a key of `jax.random.PRNGKey` is wrapped.

    Args:
      key: the key of a model.

    Raises:
      TypeError: if it is not a key.
      ValueError: if it holds several keys.
    """
    try:
        check_key(key, "init")
    except ValueError as error:
        raise ValueError(
            f"{error}; for a model per key, write "
            "jax.vmap(lambda key: jinit.init(model, key))(keys)"
        ) from None
    return wrap_key(key)


def _read_dtype(dtype: Any) -> np.dtype | None:
    """Return the dtype that was asked for; raise if parameters cannot have it."""
    if dtype is None:
        return None
    check_dtype(dtype, jnp.floating, "init: dtype is that of the floating-point parameters")
    resolved = jax.dtypes.canonicalize_dtype(dtype)
    if dtype is not float and np.dtype(dtype) != resolved:
        raise ValueError(
            f"init: {np.dtype(dtype).name} was asked for, but JAX's 64-bit types are off: turn "
            "them on with jax.config.update('jax_enable_x64', True), or ask for float32"
        )
    return resolved


def _check_values(
    model: Model, initializers: Mapping[str, Any], avals: Mapping[str, jax.ShapeDtypeStruct]
) -> None:
    """Raise if a value that rules do not draw, such as a count, comes from nowhere."""
    if model.init is not None or not initializers:
        return
    for path, aval in avals.items():
        if path in model.untrained_paths and path not in initializers:
            raise ValueError(
                f"init: {path} ({aval.dtype}) is not a trained parameter, so no rule draws it: "
                "give its value with keep=, a tree that has it, or trace the model with init=, a "
                "function of a key"
            )


def _requested_aval(aval: Any, dtype: Any) -> jax.ShapeDtypeStruct:
    """Return the shape, with the requested dtype if there is one and the values are floating."""
    floating = dtype is not None and jnp.issubdtype(aval.dtype, jnp.floating)
    return jax.ShapeDtypeStruct(aval.shape, dtype if floating else aval.dtype)


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
