"""What is known of a value in a traced computation."""

from dataclasses import dataclass, replace

from jinit.model.flow import Weight, merged


@dataclass(frozen=True)
class Value:
    """A signal, or made of parameters only, or neither: a constant."""

    weights: tuple[Weight, ...] = ()
    signal: bool = False
    indicator: bool = False
    """Whether it says where two things are equal, as a one-hot code does."""
    product: int | None = None
    """Number of the use whose result it still is."""
    looked: tuple[Weight, ...] = ()
    """Parameters of which a signal has picked the entries: tables, or kernels of chosen experts."""

    def inside(self) -> "Value":
        """The same value in another body, where uses are numbered anew."""
        return replace(self, product=None, looked=())

    def joined(self, other: "Value") -> "Value":
        """What holds of a value that is one of two."""
        if self.signal or other.signal:
            return Value(signal=True, indicator=self.indicator and other.indicator)
        if self.weights == other.weights:
            return self.inside()
        weights = merged(self.weights + other.weights)
        alike = not (self.weights and other.weights)
        return Value(weights if alike else tuple(weight.mixed() for weight in weights))


CONSTANT, SIGNAL = Value(), Value(signal=True)
