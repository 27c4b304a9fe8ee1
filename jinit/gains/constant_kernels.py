"""Constant kernels that keep a network from learning."""

import math
from collections.abc import Collection

import jax.numpy as jnp

from jinit.model import Activation, Contraction, Leaf, Model

_FEEDING_ENDS = ("product", "pooling")
"""Ends of an activation that passes units on to the next layer."""


def has_equal_units(leaf: Leaf) -> bool:
    """Return whether the units of a kernel are all alike if its entries are one number, not zero.

    Units that are added to others, as in a residual branch, or multiplied with others differ, and
    so do channels that each read an input of their own.

    Args:
      leaf: a parameter.
    """
    after = leaf.activation
    if leaf.role != "kernel" or after is None or after.end not in _FEEDING_ENDS:
        return False
    sizes = zip(leaf.shape, leaf.axes, strict=False)
    units = math.prod(size for size, role in sizes if role == "out")
    return units > 1 and after.kernel_count == 1 and after.argument_count == 1


def find_stuck_kernels(model: Model, zero_paths: Collection[str]) -> dict[str, str]:
    """Return pairs of kernels of zeros that keep each other's gradient at zero, both ways round.

    The second takes in an activation of the first that is zero at zero, without a bias that is not
    zero. Any other kernel of zeros learns: its gradient does not depend on its own values.

    Args:
      model: the traced network.
      zero_paths: paths of the parameters that are zero everywhere.
    """
    zeros = set(zero_paths)
    kernels = {each.place: model.paths[each.kernel] for each in model.contractions}
    pairs: dict[str, str] = {}
    if any(leaf.role == "bias" and leaf.path not in zeros for leaf in model.leaves):
        return pairs
    for each in model.contractions:
        first, second = kernels[each.place], kernels[each.follower] if each.follower else ""
        if {first, second} <= zeros and _passes_only_zeros(each, model.leaf(first).activation):
            pairs |= {first: second, second: first}
    return pairs


def _passes_only_zeros(first: Contraction, activation: Activation | None) -> bool:
    """Return whether all that depends on a contraction is zero if its result is zero."""
    if activation is None or not (first.has_single_consumer and first.is_linked_by(activation)):
        return False
    return float(activation(jnp.zeros(()))) == 0
