"""The report of a method that initializes by data: its layers, its steps, and what it left out."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jinit.report.calibration.figure import Figure
    from jinit.report.calibration.table import Table


@dataclass(frozen=True)
class Report:
    """The report of a method that initializes by data.

    `str` shows a line per layer, and `rich.print(report.table())` a table.

    >>> report = Report("lsuv", ("dense",), {"std after": np.ones(1)}, seconds=0.5, passes=3)
    >>> print(report)
    lsuv: 1 layer, 3 forward passes, 0.5 s
    dense  std after 1
    """

    method: str
    """The method, with its options."""
    layers: tuple[str, ...]
    """Names of the layers in order of execution, as `Model.layer_names`."""
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    """One number per layer, by name; NaN where there is none."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why some layers or parameters were left as they were, by name."""
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    """One number per step or epoch, by name; standard errors of `x` are called `x standard error`.
    """
    passes: float = 0
    """Forward passes over all batches; a backward pass counts as two more."""
    seconds: float = 0
    """Seconds that it took, compilation included."""

    def __post_init__(self) -> None:
        ordered = sorted(self.statistics.items(), key=lambda item: _reading_order(item[0]))
        object.__setattr__(self, "statistics", dict(ordered))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data: strings, numbers, lists and dictionaries."""
        return {
            "method": self.method,
            "layers": list(self.layers),
            "statistics": {name: _numbers(each) for name, each in self.statistics.items()},
            "skipped": dict(self.skipped),
            "history": {name: _numbers(each) for name, each in self.history.items()},
            "passes": self.passes,
            "seconds": self.seconds,
        }

    def table(self) -> "Table":
        """Return a table for rich, with a line per layer.

        Raises:
          MissingExtraError: if rich is not installed.
        """
        from jinit.report import calibration_table

        return calibration_table(self.to_dict())

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Figure":
        """Return a figure of the statistics by layer and of the numbers by step.

        Args:
          path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.

        Raises:
          ValueError: if the suffix is another one, or the folder does not exist.
          MissingExtraError: if matplotlib is not installed.
        """
        from jinit.report import calibration_figure

        return calibration_figure(self.to_dict(), path)

    def _repr_html_(self) -> str:
        """Return the table as HTML, for notebooks."""
        from jinit.report import notebook_page

        return notebook_page(self.table())

    def __str__(self) -> str:
        layers = f"{len(self.layers)} layer{'' if len(self.layers) == 1 else 's'}"
        lines = [f"{self.method}: {layers}, {self.passes:g} forward passes, {self.seconds:.2g} s"]
        width = max(map(len, self.layers), default=0)
        for place, layer in enumerate(self.layers):
            numbers = [f"{name} {each[place]:.4g}" for name, each in self.statistics.items()]
            lines.append(f"{layer:{width}}  {', '.join(numbers)}".rstrip())
        lines += [f"skipped {name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join(lines)


def _reading_order(name: str) -> str:
    """Return a sort key that puts what was before ahead of what is after."""
    return name.replace(" before", " 1").replace(" after", " 2")


def _numbers(values: np.ndarray) -> list[Any]:
    """Return an array as lists of numbers."""
    return np.asarray(values, float).tolist()
