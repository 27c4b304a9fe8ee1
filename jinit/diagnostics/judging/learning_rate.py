"""Judge an optimizer's learning rate by its first update."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from jinit.diagnostics.judging.finding import percent_text
from jinit.diagnostics.judging.first_step import FirstStep
from jinit.diagnostics.judging.thresholds import (
    CATAPULT_RATIO,
    MAX_STEPS_TO_BOTTOM,
    MAX_UPDATE_RATIO,
    PARALLEL_TOLERANCE,
)

RATE_VERDICTS = ("too large", "too small", "uphill", "unknown", "fine")
"""Verdicts on learning rates; only the first three ask for a change."""

_COMFORTABLE_MULTIPLIER = 10.0
"""Multiplier at which an update is a tenth of the largest that does not raise the loss."""


@dataclass(frozen=True)
class LearningRateDiagnosis:
    """The learning rate of an optimizer at initialization, judged by its first update u.

    It is read off the effect of the optimizer, whatever its options are. Along `u` the loss is
    `L + g·u + u·Hu/2` to second order, with the gradient g and the Hessian H.

    >>> LearningRateDiagnosis("too large", "", "learning rate", {}, 0.01, 1.0, 0.01).is_wrong
    True
    """

    verdict: str
    """`too large`, `too small`, `uphill`, `fine`, or `unknown` where nothing can be said."""
    sentence: str
    """The measurement, and whether the learning rate or the initialization is wrong."""
    culprit: str
    """The one to change first: `initialization`, `learning rate`, or empty."""
    update_ratio: Mapping[str, float]
    """RMS of the first update over that of the parameter, by path. A kernel of zeros counts as one
    of RMS 1/√fan_in; other parameters of zeros are left out."""
    multiplier: float
    """Largest factor of `u` that does not raise the loss, `-2 g·u / (u·Hu)`; infinite if the loss
    has no positive curvature along it."""
    rate: float
    """The learning rate η if the update is `-η g`; else NaN."""
    ceiling: float
    """2/λ_max, the largest learning rate at which gradient descent is stable at this point."""

    @property
    def is_wrong(self) -> bool:
        """Whether the learning rate needs a change."""
        return self.verdict in RATE_VERDICTS[:3]


def rate_verdict(step: FirstStep, median_ratio: float, growth: float) -> str:
    """Return the verdict on a learning rate.

    Args:
      step: the first update.
      median_ratio: median over kernels of update over weights; NaN without kernels.
      growth: largest update of the optimizer's schedule over its first one.
    """
    if not math.isfinite(step.slope * step.loss) or not step.gradient_size:
        return "unknown"
    if not step.update_size:
        return "unknown" if growth > 0 else "too small"
    if step.cosine < -PARALLEL_TOLERANCE:
        return "uphill"
    if step.excess > CATAPULT_RATIO or median_ratio > MAX_UPDATE_RATIO:
        return "too large"
    if step.steps_to_bottom > MAX_STEPS_TO_BOTTOM * max(growth, 1.0):
        return "too small"
    return "fine"


def judge_learning_rate(
    step: FirstStep,
    update_ratio: Mapping[str, float],
    median_ratio: float,
    growth: float,
    verdict: str,
) -> LearningRateDiagnosis:
    """Return the diagnosis of a learning rate.

    Args:
      step: the first update.
      update_ratio: update over weights by path.
      median_ratio: median of it over kernels; NaN without kernels.
      growth: largest update of the optimizer's schedule over its first one; infinite if only the
        first one is zero, and zero if all are.
      verdict: the verdict on the initialization.
    """
    found = rate_verdict(step, median_ratio, growth)
    is_healthy = verdict == "stable"
    is_wrong = found in RATE_VERDICTS[:3]
    return LearningRateDiagnosis(
        verdict=found,
        sentence=f"{_rate_text(found, step, median_ratio, growth)}; {_start_text(verdict)}",
        culprit="initialization" if not is_healthy else "learning rate" if is_wrong else "",
        update_ratio=update_ratio,
        multiplier=step.multiplier,
        rate=step.rate,
        ceiling=step.ceiling,
    )


def _start_text(verdict: str) -> str:
    if verdict == "stable":
        return "the initialization is stable"
    return (
        f"the initialization is {verdict}: correct it first and judge the learning rate again, "
        "because gradient and curvature change with it"
    )


def _rate_text(verdict: str, step: FirstStep, median_ratio: float, growth: float) -> str:
    """Return what was measured, and what it says about the learning rate."""
    if verdict == "unknown":
        return _unknown_text(step)
    if not step.update_size:
        return "the optimizer's updates stay zero: its learning rate is zero"
    change = _change_text(median_ratio)
    if verdict == "uphill":
        return (
            f"{change} and raises the loss: it goes along the gradient, not against it; optax adds "
            "updates, so that a chain of transformations ends with optax.scale(-learning_rate)"
        )
    if verdict == "too large":
        return _too_large_text(change, step, median_ratio)
    if verdict == "too small":
        factor = step.multiplier / _COMFORTABLE_MULTIPLIER / max(growth, 1.0)
        return (
            f"{change}, and {count_text(step.steps_to_bottom)} of them lead to the lowest loss "
            "along it: the learning rate is too small"
            + (f", try one {count_text(factor)} times larger" if math.isfinite(factor) else "")
        )
    return f"{change}{_margin_text(step)}"


def _unknown_text(step: FirstStep) -> str:
    if not step.gradient_size:
        return "there is no gradient, so the learning rate cannot be judged"
    if not step.update_size:
        return (
            "the first update is zero, as at the beginning of a warm-up: give the optimizer with "
            "its largest learning rate to have it judged"
        )
    return "loss or gradient is not finite, so the learning rate cannot be judged"


def _change_text(median_ratio: float) -> str:
    if math.isnan(median_ratio):
        return "the first update changes the parameters"
    return f"the first update changes weights by {percent_text(median_ratio)}"


def _too_large_text(change: str, step: FirstStep, median_ratio: float) -> str:
    excess = step.excess
    if not math.isnan(step.rate) and excess > CATAPULT_RATIO:
        return (
            f"{change}, and 2/λ = {step.ceiling:.2g}: the learning rate {step.rate:.3g} is "
            f"{count_text(excess)} times too large"
        )
    if excess > CATAPULT_RATIO:
        return (
            f"{change}, {count_text(excess)} times more than the largest update that does not "
            "raise the loss: the learning rate is too large by that factor"
        )
    return f"{change}, so that little is left of the initialization: the learning rate is too large"


def _margin_text(step: FirstStep) -> str:
    """Return how far the update is from one that raises the loss."""
    ceiling = "" if math.isnan(step.rate) else f" (2/λ = {step.ceiling:.2g})"
    if step.excess > 1:
        return (
            f" and is {count_text(step.excess)} times larger than the largest that does not raise "
            f"the loss{ceiling}: the learning rate is at its limit"
        )
    margin = 1 / step.excess if step.excess else math.inf
    room = f" and could be {count_text(margin)} times larger before the loss rises{ceiling}"
    return f"{room if math.isfinite(margin) else ''}: nothing is wrong with the learning rate"


def count_text(value: float) -> str:
    """Return a positive number with two digits.

    >>> count_text(7692.3), count_text(1.234), count_text(3.2e9)
    ('7,700', '1.2', '3.2e+09')
    """
    if value >= 1e6 or value < 10:
        return f"{value:.2g}"
    return f"{float(f'{value:.2g}'):,.0f}"
