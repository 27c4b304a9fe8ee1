"""Initializers of recurrent kernels and of the biases of forget gates."""

import math
from typing import Any

import numpy as np

from jinit.gains import NeededGateBias, NeededScale
from jinit.initializers import Initializer, blockwise, constant, forget_gate_bias, orthogonal
from jinit.model import Leaf

_ORTHOGONALITY = 1e-2
"""Largest entry of WᵀW - c I over c that counts as rounding, bfloat16's included."""
_LETTERS = "ifgo"
"""Names of the gates of an LSTM; the order of other gates is stated by letters from a on."""
_MAX_GATES = 26


def is_orthogonal(leaf: Leaf, array: np.ndarray) -> bool:
    """Return whether a recurrent kernel, or each gate in it, is orthogonal up to a factor.

    Args:
      leaf: the kernel.
      array: its values.
    """
    gates = _count_gates(leaf)
    if not gates:
        return False
    whole = np.asarray(array, np.float64)
    blocks = np.split(whole, gates, axis=1)
    return _has_equal_singular_values(whole) or all(map(_has_equal_singular_values, blocks))


def is_identity(leaf: Leaf, array: np.ndarray) -> bool:
    """Return whether a recurrent kernel is the identity matrix up to a factor.

    Args:
      leaf: the kernel.
      array: its values.
    """
    if _count_gates(leaf) != 1:
        return False
    diagonal = np.diagonal(array)
    return bool(diagonal[0] != 0 and (array == diagonal[0] * np.eye(len(diagonal))).all())


def recurrent_initializer(leaf: Leaf, scale: NeededScale) -> Initializer:
    """Return an orthogonal initializer of each gate of a recurrent kernel.

    All singular values are the gain that the kernel needs, so that no direction of the state grows
    or decays through the iterations because of the kernel. A normal matrix of the same standard
    deviation has singular values between 0 and twice the gain.

    Args:
      leaf: the kernel.
      scale: the scale that it needs.

    References:
      Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
      networks", 2014, section 3.
      Henaff et al., "Recurrent orthogonal networks and long-memory tasks", 2016, section 3.
    """
    gain = float(f"{math.sqrt(scale.weights) / leaf.weight_factor:.6g}")
    gates = _count_gates(leaf)
    return orthogonal(gain) if gates == 1 else blockwise(orthogonal(gain), gates)


def gate_bias_initializer(leaf: Leaf, needed: NeededGateBias) -> Initializer | None:
    """Return the initializer of a bias with a forget gate; None if its gates differ in size.

    Args:
      leaf: the bias.
      needed: the bias that its forget gate needs.
    """
    count, rest = divmod(leaf.shape[-1], needed.size)
    place, offset = divmod(needed.start, needed.size)
    if rest or offset or count > _MAX_GATES:
        return None
    if count == 1:
        return constant(needed.value)
    gates = _LETTERS if (count, place) == (4, 1) else "abcdefghijklmnopqrstuvwxyz"[:count]
    return forget_gate_bias(needed.value, gates=gates, forget=gates[place])


def has_zeros(array: Any, needed: NeededGateBias) -> bool:
    """Return whether the bias of a forget gate is zero, and not chosen otherwise on purpose.

    Args:
      array: values of the bias.
      needed: the bias that its forget gate needs.
    """
    return not np.asarray(array)[..., needed.start : needed.start + needed.size].any()


def _count_gates(leaf: Leaf) -> int:
    """Return the number of square blocks, side by side, of a recurrent kernel; 0 if it has none."""
    if not leaf.is_recurrent or leaf.axes != ("in", "out") or leaf.normalized_by:
        return 0
    count, rest = divmod(leaf.shape[1], leaf.shape[0])
    return 0 if rest or leaf.shape[0] < 2 else count


def _has_equal_singular_values(matrix: np.ndarray) -> bool:
    product = matrix @ matrix.T
    level = np.trace(product) / len(product)
    return bool(level > 0 and np.abs(product / level - np.eye(len(product))).max() < _ORTHOGONALITY)
