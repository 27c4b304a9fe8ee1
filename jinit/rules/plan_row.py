"""The rows of a plan."""

from dataclasses import dataclass
from typing import Any

from jinit.model import Activation


@dataclass(frozen=True)
class PlanRow:
    """One parameter of a plan."""

    path: str
    shape: tuple[int, ...]
    role: str
    axes: tuple[str, ...]
    fan_in: float | None
    fan_out: float | None
    activation: Activation | None
    initializer: Any
    """The initializer; None for the model's own."""
    std: float | None
    """Standard deviation of an entry, where the initializer states its distribution."""
    current_std: float | None = None
    """Standard deviation that the model has now, in a plan of `recommend`."""
    advice: str = ""
    """Why the current scale differs, where the cause is known."""

    @property
    def ratio(self) -> float | None:
        """Current standard deviation divided by the planned one."""
        return self.current_std / self.std if self.std and self.current_std is not None else None
