"""The axes of training that act on the kernels: gain, l1 and l2."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model import PyTree
from jinit.sweep.network import Network


def penalty(network: Network, params: PyTree, hyper: Mapping[str, Any]) -> Array | float:
    """Return l1 times the sum of absolute values plus l2 times the sum of squares of all kernels.

    Args:
      network: the network.
      params: its trained parameters; None in place of others.
      hyper: values of the axes; an absent `l1` or `l2` is 0.
    """
    total = 0.0
    leaves = jax.tree.leaves(params, is_leaf=lambda leaf: leaf is None)
    kernels = [leaves[index] for index in network.kernels]
    if "l1" in hyper:
        total += hyper["l1"] * sum(jnp.abs(kernel).sum() for kernel in kernels)
    if "l2" in hyper:
        total += hyper["l2"] * sum(jnp.square(kernel).sum() for kernel in kernels)
    return total


def scale_kernels(network: Network, params: PyTree, hyper: Mapping[str, Any]) -> PyTree:
    """Return parameters whose kernels are multiplied by the gain, if it is an axis.

    Args:
      network: the network.
      params: its parameters.
      hyper: values of the axes.
    """
    if "gain" not in hyper:
        return params
    leaves, structure = jax.tree.flatten(params)
    for index in network.kernels:
        leaves[index] = leaves[index] * jnp.asarray(hyper["gain"], leaves[index].dtype)
    return jax.tree.unflatten(structure, leaves)
