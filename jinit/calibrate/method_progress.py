"""The progress of a method that takes many steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class LayerPlace(NamedTuple):
    """A layer among those that are trained."""

    name: str
    number: int
    """Its number, counted from 1."""
    total: int
    """Number of layers that are trained."""


@dataclass(frozen=True)
class MethodProgress:
    """The progress of a method; `str` is one line.

    >>> print(MethodProgress("rbm", LayerPlace("Dense_1", 2, 5), "epoch", 12, 20, 14.2))
    rbm: layer Dense_1 (2 of 5), epoch 12 of 20, 14 s
    """

    method: str
    layer: LayerPlace | None = None
    """The layer in training, if layers are trained one after the other."""
    unit: str = "step"
    """The word for what is counted: `step` or `epoch`."""
    done: int = 0
    """Steps or epochs that are done, of this layer if there is one."""
    total: int = 0
    """Number of steps or epochs; 0 if they are not counted."""
    seconds: float = 0.0
    """Seconds so far, those of interrupted calls included."""
    latest: tuple[str, float] | None = None
    """Name and value of a number after the last step, such as the loss."""

    def __str__(self) -> str:
        parts = []
        if self.layer is not None:
            parts.append(f"layer {self.layer.name} ({self.layer.number} of {self.layer.total})")
        if self.total:
            parts.append(f"{self.unit} {self.done} of {self.total}")
        if self.latest is not None:
            parts.append(f"{self.latest[0]} {self.latest[1]:.3g}")
        return f"{self.method}: {', '.join([*parts, f'{self.seconds:.0f} s'])}"


ShowProgress = Callable[[MethodProgress], object]
"""A function that is called with the progress every second or so."""
