"""Trees of parameters in files of their own, which are written completely or not at all."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from jinit.stored_file import read_with_digest, write_with_digest

# What Flax, msgpack and NumPy raise for bytes of another kind.
_FAULTS = (AttributeError, IndexError, KeyError, MemoryError, RecursionError, TypeError, ValueError)


def write_params_file(file: Path, params: Any) -> None:
    """Write parameters in Flax's msgpack format, and then the SHA-256 digest of these bytes.

    Sequences become lists, and nodes of all other kinds dictionaries by name.

    Args:
      file: the file; it is replaced if it exists.
      params: tree of arrays.

    Raises:
      OSError: if the file cannot be written.
    """
    from flax.serialization import msgpack_serialize

    write_with_digest(file, msgpack_serialize(_to_containers(params), in_place=True))


def read_params_file(file: Path, like: Any = None) -> Any:
    """Return the parameters in a file, which is parsed only if it has its digest. No code is run.

    Args:
      file: a file that `write_params_file` wrote.
      like: tree of arrays or shapes, whose structure the result gets; None for lists and
        dictionaries.

    Returns:
      The tree of parameters, as NumPy arrays.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it is another file, it is damaged, or `like` has other paths, shapes or dtypes.
        The message does not name the file.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "pair"
    >>> write_params_file(file, ({"a": np.ones(2)}, np.zeros(1)))
    >>> read_params_file(file)
    [{'a': array([1., 1.])}, array([0.])]
    """
    from flax.serialization import msgpack_restore

    content = read_with_digest(file)
    try:
        params = jax.tree.map(np.array, msgpack_restore(content))
    except _FAULTS as error:
        raise ValueError("does not hold parameters") from error
    return params if like is None else _with_structure(like, params)


def _to_containers(tree: Any) -> Any:
    """Return a tree with nodes of two kinds: lists, and dictionaries with strings as keys."""
    children = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: node is not tree)[0]
    if children and not children[0][0]:
        return np.asarray(tree)
    if tree is None:
        return None
    values = [_to_containers(value) for _, value in children]
    if isinstance(tree, list | tuple) and not hasattr(tree, "_fields"):
        return values
    return dict(zip((_name(key) for (key,), _ in children), values, strict=True))


def _name(key: Any) -> str:
    return jax.tree_util.keystr((key,), simple=True)


def _with_structure(like: Any, params: Any) -> Any:
    """Return parameters in the structure of another tree, whose leaves have their paths."""
    wanted, structure = jax.tree_util.tree_flatten_with_path(like)
    found = dict(_by_path(params))
    paths = [tuple(map(_name, path)) for path, _ in wanted]
    if differing := set(paths) ^ set(found):
        path = min(differing)
        lack = "lacks" if path in paths else "has beyond like="
        raise ValueError(f"{lack} {'/'.join(path) or 'an array that is the whole tree'}")
    for path, (_, leaf) in zip(paths, wanted, strict=True):
        expected, seen = (leaf.shape, leaf.dtype), (found[path].shape, found[path].dtype)
        if expected != seen:
            raise ValueError(
                f"has shape {seen[0]} and dtype {seen[1]} for {'/'.join(path)}, and like= has "
                f"shape {expected[0]} and dtype {expected[1]}"
            )
    return jax.tree.unflatten(structure, [found[path] for path in paths])


def _by_path(tree: Any) -> list[tuple[tuple[str, ...], np.ndarray]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(tuple(map(_name, path)), leaf) for path, leaf in leaves]
