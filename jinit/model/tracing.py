"""Pure functions as Models."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jinit.model.inputs import abstract_inputs
from jinit.model.model import Model
from jinit.model.params import PyTree
from jinit.model.paths import leaf_paths


def trace(
    apply: Callable[..., Any],
    params: PyTree,
    *inputs: PyTree,
    init: Callable[[jax.Array], PyTree] | None = None,
) -> Model:
    """Return the Model of any pure function `apply(params, *inputs)`.

    Nothing is allocated or computed: parameters and inputs may be `jax.ShapeDtypeStruct`s.
    Leaves of `params` that are not arrays, such as the functions in an Equinox module, are kept;
    arrays of integers and keys count as state.

    Args:
      apply: pure function of parameters and inputs.
      params: tree of parameters, arrays or shapes.
      inputs: example inputs, arrays or `jax.ShapeDtypeStruct`s.
      init: function of a key that draws initial parameters, if the network has one.

    Returns:
      The Model.

    Raises:
      TypeError: if `apply` is not a function, or an input is a bare shape such as `(8, 4)`.

    An Equinox module is its own tree of parameters, and `jinit.init` returns it initialized::

        net = equinox.filter_eval_shape(build, key)
        model = jinit.trace(lambda net, x: jax.vmap(net)(x), net, x, init=build)
        net = jinit.recommend(model).init(key)

    A Haiku network is a pair of pure functions::

        net = haiku.without_apply_rng(haiku.transform(forward))
        params = jax.eval_shape(net.init, key, x)
        model = jinit.trace(net.apply, params, x, init=lambda key: net.init(key, x))
        params = jinit.recommend(model).init(key)

    State of either library, such as BatchNorm's statistics, is an input next to `x`.

    >>> import jax, jax.numpy as jnp
    >>> shape = jax.ShapeDtypeStruct
    >>> params = {"w": shape((4, 3), jnp.float32), "b": shape((1, 3), jnp.float32)}
    >>> model = trace(lambda p, x: x @ p["w"] + p["b"], params, shape((8, 4), jnp.float32))
    >>> [leaf.path for leaf in model.leaves], model.layer_names
    (['w', 'b'], ('w',))
    """
    if not callable(apply) or (hasattr(apply, "init") and hasattr(apply, "apply")):
        raise TypeError(
            f"trace: expected a function apply(params, *inputs), got {type(apply).__name__}; for a "
            "Linen module use jinit.linen.trace(module, x), for NNX jinit.nnx.trace(constructor, x)"
        )
    shapes = abstract_inputs("trace", inputs)
    arrays = jax.eval_shape(lambda tree: tree, _select_arrays(params))
    leaves = zip(leaf_paths(arrays), jax.tree.leaves(arrays), strict=True)
    state = frozenset(path for path, leaf in leaves if not jnp.issubdtype(leaf.dtype, jnp.inexact))
    model = Model(apply, arrays, shapes, init, untrained_paths=state)
    if jax.tree.structure(arrays) == jax.tree.structure(params):
        return model
    others = jax.tree.map(lambda leaf: None if _is_array(leaf) else leaf, params)
    merge = partial(_merge_arrays, others)
    return replace(
        model,
        apply=lambda params, *values: apply(merge(params), *values),
        init=init and (lambda key: _select_arrays(init(key))),
        wrap=lambda params, key: merge(params),
        unwrap=_select_arrays,
    )


def _select_arrays(tree: PyTree) -> PyTree:
    """Return the tree with None for every leaf that is not an array."""
    return jax.tree.map(lambda leaf: leaf if _is_array(leaf) else None, tree)


def _merge_arrays(others: PyTree, arrays: PyTree) -> PyTree:
    """Merge arrays with the leaves that are not arrays."""
    return jax.tree.map(
        lambda array, other: other if array is None else array,
        arrays,
        others,
        is_leaf=lambda leaf: leaf is None,
    )


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")
