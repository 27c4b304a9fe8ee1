"""Abstract values: what is known of a value in a traced computation."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from jinit.model.constants import ConstantScale
from jinit.model.weight_axes import TrackedWeight, merge_weights


@dataclass(frozen=True)
class KnownValue:
    """A signal, a function of parameters only, or a constant, which is neither."""

    weights: tuple[TrackedWeight, ...] = ()
    """Parameters that the value is computed from, if it is computed from parameters only."""
    is_signal: bool = False
    is_noise: bool = False
    """Whether it is a signal that depends on random keys only."""
    is_indicator: bool = False
    """Whether it is the result of an equality test, as a one-hot code is."""
    contraction_site: int | None = None
    """Index of the site of the contraction that produced it, while nothing has changed it."""
    chosen_weights: tuple[TrackedWeight, ...] = ()
    """Parameters whose entries a signal has selected or modulated: tables, or kernels."""
    read_constant: Callable[[], ConstantScale] | None = field(default=None, compare=False)
    """Function that returns a constant that enters the body of a loop."""

    def forget_uses(self) -> "KnownValue":
        """Return the same value for use in another body, where sites have other indices."""
        return replace(self, contraction_site=None, chosen_weights=())

    def join(self, other: "KnownValue") -> "KnownValue":
        """Return the least upper bound of two abstract values."""
        if self.is_signal or other.is_signal:
            return KnownValue(is_signal=True, is_indicator=self.is_indicator and other.is_indicator)
        if self.weights == other.weights:
            return self.forget_uses()
        weights = merge_weights(self.weights + other.weights)
        if self.weights and other.weights:
            weights = tuple(weight.change() for weight in weights)
        return KnownValue(weights)


CONSTANT, SIGNAL = KnownValue(), KnownValue(is_signal=True)
NOISE = KnownValue(is_signal=True, is_noise=True)
