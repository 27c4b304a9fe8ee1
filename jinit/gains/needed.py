"""The standard deviation that a kernel needs."""

import math

from jinit.model import Leaf
from jinit.theory import moments


def needed_std(leaf: Leaf, branches: int = 1) -> float | None:
    """Return the standard deviation that keeps the second moment up to the next kernel.

    Args:
      leaf: a parameter.
      branches: number of residual branches in the model.

    Returns:
      `gain / √fan_in`, with the fan-in multiplied by `branches` if the kernel ends a branch; None
      if the parameter is not a kernel.
    """
    if leaf.role != "kernel" or not leaf.fan_in:
        return None
    summed_branches = branches if leaf.ends_branch else 1
    return _needed_gain(leaf) / math.sqrt(leaf.fan_in * summed_branches)


def _needed_gain(leaf: Leaf) -> float:
    """Return √(1 / E[φ(z)²]) of the activation φ that follows; 1 where no gain is needed."""
    activation = leaf.activation
    if activation is None or activation.end not in ("product", "pooling"):
        return 1.0
    try:
        gain = moments(activation).gain
    except ValueError:
        return 1.0
    exponent = 0.5 if activation.argument_count > 1 else 1.0
    return gain**exponent / math.sqrt(activation.kernel_count)
