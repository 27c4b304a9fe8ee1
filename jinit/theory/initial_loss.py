"""Expected initial loss, and the probability of a dead network."""

import math
from collections.abc import Sequence

from jinit.theory.checks import check_width


def initial_loss(classes: int, logit_std: float = 0.0) -> float:
    r"""Return the expected cross-entropy of random logits, to second order in their std s.

    It is `ln C + (s²/2)(1 - 1/C)`.

    Args:
      classes: C, at least 2.
      logit_std: standard deviation s of the independent normal logits; 0 for a zero last layer.

    Raises:
      ValueError: if there are fewer than two classes, or the standard deviation is negative.

    >>> initial_loss(10) == math.log(10), round(initial_loss(100, 1.0), 5)
    (True, 5.10017)
    """
    if classes < 2:
        raise ValueError(f"classes: expected at least 2, got {classes!r}")
    if not 0 <= logit_std < math.inf:
        raise ValueError(f"logit_std: expected a finite number of at least 0, got {logit_std!r}")
    return math.log(classes) + logit_std**2 / 2 * (1 - 1 / classes)


def born_dead(widths: Sequence[int]) -> float:
    r"""Return the probability that a relu network outputs a constant, `1 - ∏ (1 - 2^(-n))`.

    This holds for one input, symmetric weights and no biases. The network is dead if all units of
    some layer are inactive.

    Args:
      widths: units n of each hidden layer, at least 1.

    Raises:
      ValueError: if a width is not an integer of at least 1.

    Reference: Lu, Shin, Su & Karniadakis, "Dying ReLU and initialization", 2020, theorem 3.3.

    >>> round(born_dead([2] * 10), 6)
    0.943686
    """
    checked = [check_width("born_dead", width) for width in widths]
    return -math.expm1(math.fsum(math.log1p(-(2.0**-width)) for width in checked))
