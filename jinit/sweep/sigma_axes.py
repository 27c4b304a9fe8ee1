"""The axes of the phase diagram: standard deviations of weights and biases."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model import PyTree, parameter_key, path_bits
from jinit.sweep.network import Network

_SIGMA_AXES = ("sigma_w", "sigma_b")
"""Axes that replace the initialization of kernels and of biases."""


def draw_sigmas(network: Network, params: PyTree, key: Array, hyper: Mapping[str, Any]) -> PyTree:
    """Return parameters with kernels N(0, sigma_w^2 / fan_in) and biases N(0, sigma_b^2).

    Where an axis is absent, the parameters stay as they are. The key of a leaf comes from its path.

    Args:
      network: the network.
      params: its parameters.
      key: the key of the lane.
      hyper: values of the axes.

    Reference: Poole et al., Exponential expressivity in deep neural networks through transient
    chaos, 2016, section 2.
    """
    if not set(_SIGMA_AXES) & set(hyper):
        return params
    leaves = {leaf.path: leaf for leaf in network.model.leaves}
    flat, structure = jax.tree.flatten(params)
    paths = network.model.paths
    drawn = [
        _draw(leaves[path], value, parameter_key(key, path_bits(path, paths)), hyper)
        for path, value in zip(paths, flat, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)


def _draw(leaf: Any, value: Array, key: Array, hyper: Mapping[str, Any]) -> Array:
    if leaf.role == "kernel" and "sigma_w" in hyper:
        std = hyper["sigma_w"] / jnp.sqrt(float(leaf.fan_in))
    elif leaf.role == "bias" and "sigma_b" in hyper:
        std = hyper["sigma_b"]
    else:
        return value
    return (std * jax.random.normal(key, value.shape)).astype(value.dtype)
