"""What is expected of a network before it has learned: its loss, and whether it is alive."""

import math
from collections.abc import Sequence


def initial_loss(classes: int, logit_std: float = 0.0) -> float:
    r"""Expected cross-entropy of random logits, `ln C + (s²/2)(1 - 1/C)`, to second order in s.

    Args:
      classes: C, at least 2.
      logit_std: standard deviation s of the independent normal logits; 0 for a zero last layer.

    Raises:
      ValueError: fewer than two classes, or a negative standard deviation.

    >>> initial_loss(10) == math.log(10), round(initial_loss(100, 1.0), 5)
    (True, 5.10017)
    """
    if classes < 2:
        raise ValueError(f"classes: expected at least 2, got {classes!r}")
    if not 0 <= logit_std < math.inf:
        raise ValueError(f"logit_std: expected a number of at least 0, got {logit_std!r}")
    return math.log(classes) + logit_std**2 / 2 * (1 - 1 / classes)


def born_dead(widths: Sequence[int]) -> float:
    r"""Probability that a relu network passes nothing on, `1 - ∏ (1 - 2^(-n))`, on one input.

    Symmetric weights, no biases: the network is dead where all units of some layer are.

    Args:
      widths: units n of each hidden layer, positive.

    Raises:
      ValueError: a width is not positive.

    Reference: Lu, Shin, Su & Karniadakis, "Dying ReLU and initialization", 2020, theorem 3.3.

    >>> round(born_dead([2] * 10), 6)
    0.943686
    """
    for width in widths:
        if width < 1:
            raise ValueError(f"born_dead: expected widths of at least 1, got {width}")
    return -math.expm1(math.fsum(math.log1p(-(2.0**-width)) for width in widths))
