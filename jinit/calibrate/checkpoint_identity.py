"""The identity of the work that a checkpoint belongs to: method, computation, data, versions."""

import hashlib
import re
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model import Graph, PyTree, leaf_paths


def identify(
    method: str, function: Callable[..., Any], arrays: Mapping[str, PyTree]
) -> dict[str, str]:
    """Return texts that are equal for equal work in any process.

    Args:
      method: the method with its options, as text.
      function: the work as a pure function of the arrays, which is traced.
      arrays: its arguments by name.

    >>> first, second = (identify("sum", jnp.sum, {"data": jnp.full(3, n)}) for n in (1.0, 2.0))
    >>> [name for name in first if first[name] != second[name]]
    ['data']
    """
    device = jax.local_devices()[0]
    return {
        "jinit": metadata.version("jinit"),
        "jax": jax.__version__,
        "device": f"{device.platform}, {device.device_kind}",
        "method": re.sub(r" at 0x[0-9a-f]+", "", method),
        "traced computation": Graph.from_function(function, *arrays.values()).fingerprint,
        **{name: digest_arrays(tree) for name, tree in arrays.items()},
    }


def explain_difference(saved: Mapping[str, Any], own: Mapping[str, str]) -> str:
    """Return the entries in which a saved identity differs; empty if there are none.

    Args:
      saved: the identity in a file.
      own: the identity of the work.

    >>> own = {"method": "rbm(rows=9)", "key": "0" * 64}
    >>> explain_difference({"method": "rbm()", "key": "1" * 64}, own)
    'method (rbm() there, rbm(rows=9) here), key'
    """
    differences = []
    for name, value in own.items():
        if saved.get(name) != value:
            is_digest = re.fullmatch(r"[0-9a-f]{64}", value)
            differences.append(
                name if is_digest else f"{name} ({saved.get(name)} there, {value} here)"
            )
    return ", ".join(differences)


def digest_arrays(tree: PyTree) -> str:
    """Return a digest of the paths, shapes, dtypes and values of a tree of arrays.

    Args:
      tree: the tree; keys are arrays too.

    >>> digest_arrays({"a": jnp.ones(2)}) == digest_arrays({"a": np.ones(2, np.float32)})
    True
    """
    digest = hashlib.sha256()
    for path, leaf in zip(leaf_paths(tree), jax.tree.leaves(tree), strict=True):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            digest.update(str(jax.random.key_impl(leaf)).encode())
            leaf = jax.random.key_data(leaf)
        digest.update(f"{path} {leaf.dtype} {leaf.shape} ".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
