"""Interface of the ways to train one layer without targets."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self

from jax import Array

from jinit.calibrate import Loop, LoopBody, LoopEnd


class TrainedLayer(NamedTuple):
    """A layer that was trained by itself."""

    weights: Array
    """Matrix of shape [inputs, units]."""
    bias: Array
    """Vector of shape [units]."""
    history: dict[str, Array]
    """Numbers by name, each with one number per epoch."""

    @classmethod
    def read(cls, end: LoopEnd) -> Self:
        """Return the layer at the end of a loop of a trainer.

        Args:
          end: the last state, and the numbers of all epochs.
        """
        network = end[0].network
        return cls(network.weights, network.hidden_bias, end[1])


@dataclass(frozen=True, kw_only=True, repr=False)
class Trainer(ABC):
    """A way to train one layer by itself, without targets. Frozen, hashable, comparable."""

    epochs: int = 20
    """Number of epochs."""
    batch_size: int = 10
    """Number of examples of a batch."""

    name: ClassVar[str]
    """The function of `jinit.pretrain` that applies it to a network, for messages."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[str, ...]:
        """Names of the numbers of an epoch; progress shows the first one."""

    @property
    @abstractmethod
    def is_unit(self) -> bool | None:
        """Whether inputs must lie in [0, 1]; None if this depends on the inputs."""

    @abstractmethod
    def for_inputs(self, is_unit: bool) -> Self:
        """Return the trainer for inputs that lie in [0, 1], or for any others.

        Args:
          is_unit: whether they lie in [0, 1].
        """

    def for_activation(self, activation: Any) -> Self:
        """Return the trainer for a layer with a given activation, if it depends on that.

        Args:
          activation: the function, or None if it is not elementwise.
        """
        del activation
        return self

    @abstractmethod
    def body(self, hidden: int, data: Array, key: Array) -> LoopBody:
        """Return the first state, whose attribute `network` is trained, and the step of an epoch.

        Args:
          hidden: number of hidden units.
          data: examples, of shape [examples, inputs].
          key: key of everything that is drawn.
        """

    def loop(self, hidden: int) -> Loop:
        """Return the loop over epochs, which reads `(data, key)`.

        Args:
          hidden: number of hidden units.
        """
        return Loop(type(self).body, (self, hidden), self.epochs, self.numbers, "epoch")

    def train(self, inputs: Array, units: int, key: Array) -> TrainedLayer:
        """Return a trained layer. The function is pure, and can be vmapped over keys.

        Args:
          inputs: examples, of shape [examples, inputs].
          units: number of units.
          key: key of everything that is drawn.
        """
        return TrainedLayer.read(self.loop(units).run((inputs, key)))

    @property
    @abstractmethod
    def products_per_epoch(self) -> float:
        """Number of products with the weights in an epoch, in units of one forward pass."""

    def __repr__(self) -> str:
        options = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(options)})"
