"""Parameters of a phase diagram: drawn once, then scaled for every cell."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.measuring.floating import is_floating
from jinit.model import Leaf, Model, PyTree


class OwnScales(NamedTuple):
    """The scales of a network's own initialization, as coordinates of a phase diagram."""

    sigma_w: float
    """Median over kernels of the RMS times √fan_in."""
    sigma_b: float
    """Median over biases of the RMS; 0 without biases."""


def own_scales(model: Model, params: PyTree) -> OwnScales:
    """Return the scales of parameters.

    Args:
      model: the traced network.
      params: its parameters.
    """
    sizes: dict[str, list[float]] = {"kernel": [], "bias": []}
    for leaf, value in zip(model.leaves, _in_order(model, params), strict=True):
        if is_floating(leaf) and leaf.role in sizes:
            factor = (leaf.fan_in or 1) if leaf.role == "kernel" else 1
            second = float(np.mean(np.square(np.asarray(value, np.float64))))
            sizes[leaf.role].append(math.sqrt(factor * second))
    return OwnScales(*(float(np.median(found)) if found else 0.0 for found in sizes.values()))


def _in_order(model: Model, params: PyTree) -> list[Any]:
    values = model.by_path(params)
    return [values[leaf.path] for leaf in model.leaves]


class DrawnLeaf(NamedTuple):
    """The drawn value of a parameter, before it is scaled."""

    role: str
    """`kernel` or `bias` if the value is to be scaled, else empty."""
    value: Array


def draw_leaves(model: Model, key: Array, init_key: Array) -> list[DrawnLeaf]:
    """Draw all parameters, in the order of the tree, with kernels and biases at scale 1."""
    abstract = jax.tree.leaves(model.params)
    initial = abstract
    if model.init is not None:
        initial = jax.tree.leaves(model.unwrap(model.init(init_key)))
    # One draw for all parameters, because each draw takes a second to compile.
    ends = np.cumsum([math.prod(leaf.shape) for leaf in abstract])
    normals = jnp.split(jax.random.normal(key, (ends[-1],)), ends[:-1])
    return [
        _draw_leaf(model.leaf(path), value, normal.reshape(value.shape), model.init is not None)
        for path, value, normal in zip(model.paths, initial, normals, strict=True)
    ]


def scale_leaves(leaves: Sequence[DrawnLeaf], sigma_w: Array, sigma_b: Array) -> list[Array]:
    """Return the values with kernels multiplied by `sigma_w` and biases by `sigma_b`."""
    scales = {"kernel": sigma_w, "bias": sigma_b}
    return [
        (leaf.value * scales[leaf.role]).astype(leaf.value.dtype)
        if leaf.role in scales
        else leaf.value
        for leaf in leaves
    ]


def _draw_leaf(leaf: Leaf, initial: Any, normal: Array, has_init: bool) -> DrawnLeaf:
    """Return the value of one parameter.

    Args:
      leaf: the parameter.
      initial: its value from the model's own `init`, or its abstract value.
      normal: normal numbers of its shape.
      has_init: True if the model has its own `init`.
    """
    if is_floating(leaf):
        normal = normal.astype(leaf.dtype)
        if leaf.role == "kernel" and leaf.fan_in:
            return DrawnLeaf("kernel", normal / math.sqrt(leaf.fan_in))
        if leaf.role == "bias":
            return DrawnLeaf("bias", normal)
    if has_init:
        return DrawnLeaf("", initial)
    if is_floating(leaf) and leaf.role == "embedding":
        return DrawnLeaf("", normal)
    return DrawnLeaf("", jnp.full(leaf.shape, leaf.role == "scale", leaf.dtype))
