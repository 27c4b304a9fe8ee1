"""Trees of arrays as plain NumPy arrays by name, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model import PyTree, leaf_paths


def to_plain_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Return the leaves of a tree by distinct names, with dtypes that every NumPy has.

    Keys become their data, and numbers of other packages, such as bfloat16, unsigned integers.

    Args:
      tree: a tree of arrays.

    >>> to_plain_arrays({"a": jax.numpy.ones(2, "bfloat16")})
    {'0 a': array([16256, 16256], dtype=uint16)}
    """
    return {name: _to_plain(leaf) for name, leaf in _leaves_by_name(tree).items()}


def from_plain_arrays(arrays: Mapping[str, np.ndarray], structs: PyTree) -> PyTree:
    """Return a tree of arrays from those that `to_plain_arrays` returned.

    Args:
      arrays: the arrays by name.
      structs: a tree of abstract arrays of the shapes and dtypes that are expected.

    Raises:
      ValueError: if the names, shapes or dtypes are others.

    >>> tree = {"a": jax.numpy.arange(3)}
    >>> from_plain_arrays(to_plain_arrays(tree), jax.eval_shape(lambda: tree))
    {'a': array([0, 1, 2], dtype=int32)}
    """
    expected = _leaves_by_name(structs)
    found = {name: (each.shape, each.dtype) for name, each in arrays.items()}
    wanted = {name: _plain_form(leaf) for name, leaf in expected.items()}
    if found != wanted:
        names = [name for name in found | wanted if found.get(name) != wanted.get(name)]
        raise ValueError(
            f"array {names[0]!r} is {found.get(names[0])}, expected {wanted.get(names[0])}"
        )
    leaves = [_from_plain(arrays[name], leaf) for name, leaf in expected.items()]
    return jax.tree.unflatten(jax.tree.structure(structs), leaves)


def _leaves_by_name(tree: PyTree) -> dict[str, Any]:
    pairs = zip(leaf_paths(tree), jax.tree.leaves(tree), strict=True)
    return {f"{number} {path}": leaf for number, (path, leaf) in enumerate(pairs)}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain_form(leaf: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype of the plain array of a leaf."""
    data = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
    dtype = np.dtype(data.dtype)
    return tuple(data.shape), dtype if dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")


def _to_plain(leaf: Any) -> np.ndarray:
    data = jax.random.key_data(leaf) if _is_key(leaf) else leaf
    return np.asarray(data).view(_plain_form(leaf)[1])


def _from_plain(array: np.ndarray, struct: Any) -> Any:
    if _is_key(struct):
        impl = jax.random.key_impl(jnp.empty((), struct.dtype))
        return jax.random.wrap_key_data(jnp.asarray(array), impl=impl)
    return array.view(struct.dtype)
