"""The bias that a forget gate needs."""

import math
from typing import NamedTuple

from jinit.model import Leaf

_FORGET_BIAS = 1.0
"""Bias at which an untrained gate keeps σ(1) = 73 % of the state per iteration, not half of it."""


class NeededGateBias(NamedTuple):
    """The bias that the units of a forget gate need, and why."""

    value: float
    start: int
    """First unit along the last axis of the bias."""
    size: int
    """Number of units."""
    reason: str


def needed_gate_bias(leaf: Leaf) -> NeededGateBias | None:
    """Return the bias that a forget gate needs; None for any other parameter.

    A constant that the computation adds to the gate counts. Gates that scale the old state and what
    is added to it, such as the update gate of a GRU, keep their bias: a larger one lengthens the
    memory and lets less in, and which is better depends on the task.

    Args:
      leaf: a parameter of a model.

    References:
      Gers et al., "Learning to forget: continual prediction with LSTM", 2000, section 4.
      Jozefowicz et al., "An empirical exploration of recurrent network architectures", 2015,
      section 4.

    >>> import jinit, jax, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> model = jinit.linen.trace(nn.RNN(nn.LSTMCell(8)), jnp.ones((2, 5, 4)))
    >>> {leaf.path: needed_gate_bias(leaf).value for leaf in model.leaves if needed_gate_bias(leaf)}
    {'params/cell/hf/bias': 1.0}
    """
    gate = leaf.forget_gate
    if gate is None or leaf.role != "bias" or gate.constant >= _FORGET_BIAS:
        return None
    value = _FORGET_BIAS - gate.constant
    kept = 100 / (1 + math.exp(-_FORGET_BIAS))
    reason = f"a bias of {value:.3g} lets an untrained forget gate keep {kept:.0f} % of the state"
    return NeededGateBias(value, gate.start, gate.size, reason)
