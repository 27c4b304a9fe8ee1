"""The numbers by which an optimizer's first update is judged."""

import math
from typing import NamedTuple

import numpy as np

from jinit.diagnostics.judging.thresholds import MIN_LOSS_RISE, PARALLEL_TOLERANCE
from jinit.diagnostics.measuring.first_update import FirstUpdate
from jinit.diagnostics.spectra.curvature import extreme_eigenvalues


class FirstStep(NamedTuple):
    """A first update u, the gradient g and the Hessian H along it, and the loss after it."""

    slope: float
    """g·u: change of the loss to first order."""
    cosine: float
    """Cosine of u and -g; zero if either is zero."""
    bend: float
    """u·Hu; NaN without second derivatives."""
    rate: float
    """η if the update is -η g; else NaN."""
    ceiling: float
    """2/λ_max."""
    loss: float
    loss_after: float
    update_size: float
    """Largest absolute entry of u."""
    gradient_size: float
    """Largest absolute entry of g."""

    @property
    def multiplier(self) -> float:
        """Largest factor of the update that does not raise the loss.

        Without positive curvature along the update it is read off the parabola through the loss
        before and after it.

        >>> FirstStep(-2.0, 1.0, 8.0, 0.5, 1.0, 3.0, 5.0, 0.1, 1.0).multiplier
        0.5
        """
        if self.slope >= 0:
            return 0.0
        bend = self.bend if self.bend > 0 else self._fitted_bend
        return -2 * self.slope / bend if bend > 0 else math.inf

    @property
    def _fitted_bend(self) -> float:
        rise = self.loss_after - self.loss
        if math.isnan(rise):
            return math.inf
        return 2 * (rise - self.slope) if rise > MIN_LOSS_RISE * abs(self.loss) else 0.0

    @property
    def excess(self) -> float:
        """Size of the update over the largest one at which the loss does not rise.

        For plain gradient descent also the learning rate over 2/λ_max, whichever is larger.
        """
        along = 1 / self.multiplier if self.multiplier > 0 else math.inf
        return along if math.isnan(self.rate) else max(along, self.rate / self.ceiling)

    @property
    def steps_to_bottom(self) -> float:
        """Number of such updates to the lowest loss along the update.

        Without positive curvature, to a loss of zero.
        """
        if self.bend > 0:
            return -self.slope / self.bend
        return abs(self.loss / self.slope) if self.slope else math.inf


def read_first_step(update: FirstUpdate) -> FirstStep:
    """Return the numbers by which a first update is judged, from arrays of NumPy."""
    size, steepness = float(update.update_largest), float(update.gradient_largest)
    norm, gradient_norm = float(update.update_norm), float(update.gradient_norm)
    slope = float(update.slope)
    cosine = -slope / (norm * gradient_norm) if norm * gradient_norm else 0.0
    is_descent = 1 - cosine < PARALLEL_TOLERANCE
    return FirstStep(
        slope=slope * size * steepness,
        cosine=cosine,
        bend=float(update.bend) * size * size,
        rate=size * norm / (steepness * gradient_norm) if is_descent else math.nan,
        ceiling=_ceiling(update),
        loss=float(update.loss),
        loss_after=float(update.loss_after),
        update_size=size,
        gradient_size=steepness,
    )


def _ceiling(update: FirstUpdate) -> float:
    """Return 2/λ_max; infinite if no curvature is positive, NaN if it was not measured."""
    if not len(update.alphas):
        return math.nan
    alphas, betas = (np.asarray(each, np.float64) for each in (update.alphas, update.betas))
    largest = extreme_eigenvalues(alphas, betas).largest
    return 2 / largest if not largest <= 0 else math.inf
