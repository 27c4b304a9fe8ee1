"""The layers of a network as PyTorch names and numbers them."""

import math
from typing import Any

import jax

import jinit
from models.start import NETWORKS


def layers(network: str) -> list[list[Any]]:
    """Kind and sizes of every kernel, table and normalization of the Linen model."""
    linen, _, config, shape, dtype = NETWORKS[network]
    model = jinit.linen.trace(linen(config), jax.ShapeDtypeStruct(shape, dtype))
    biased = {leaf.path.rpartition("/")[0] for leaf in model.leaves if leaf.role == "bias"}
    return [
        layer
        for leaf in model.leaves
        if (layer := _layer(leaf, leaf.path.rpartition("/")[0] in biased))
    ]


def _layer(leaf: Any, has_bias: bool) -> list[Any] | None:
    if leaf.role == "embedding":
        return ["embedding", *leaf.shape]
    if leaf.role == "scale":
        return ["norm", math.prod(leaf.shape)]
    if leaf.role != "kernel":
        return None
    sizes = dict.fromkeys(("in", "out"), 1)
    for size, word in zip(leaf.shape, leaf.axes, strict=True):
        if word in sizes:
            sizes[word] *= size
    if "spatial" in leaf.axes:
        taps = [size for size, word in zip(leaf.shape, leaf.axes, strict=True) if word == "spatial"]
        return ["convolution", sizes["in"], sizes["out"], taps, 1, 0, 1, 1, has_bias]
    return ["dense", sizes["in"], sizes["out"], has_bias]
