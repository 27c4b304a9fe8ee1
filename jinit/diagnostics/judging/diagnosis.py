"""The result of `jinit.diagnose`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinit.diagnostics.judging.finding import VERDICTS
from jinit.diagnostics.judging.interval import ExpectedInterval
from jinit.diagnostics.judging.learning_rate import LearningRateDiagnosis
from jinit.diagnostics.measuring.histograms import Histogram
from jinit.diagnostics.measuring.plain import plain_data
from jinit.diagnostics.spectra.jacobian import Jacobian

if TYPE_CHECKING:
    from jinit.report.diagnosis.figure import Figure
    from jinit.report.diagnosis.terminal import Group


@dataclass(frozen=True)
class LayerDiagnosis:
    """The diagnosis of one layer: one use of a kernel on a signal.

    `Diagnosis` lists the names of `statistics`; `predicted` has some of them.

    >>> layer = LayerDiagnosis("k", "stable", "", "", "", (8, 4), {"rms": 1.0}, {})
    >>> layer.statistics["rms"]
    1.0
    """

    path: str
    """Path of its kernel, numbered for the second and later uses."""
    verdict: str
    cause: str
    """Why it is not stable, as a sentence; empty if it is."""
    cure: str
    """Code to write instead; empty if jinit knows no cure."""
    source: str
    """Path of the layer or parameter that causes the fault, or `inputs`, `targets` or `loss`; empty
    if it is this layer."""
    shape: tuple[int, ...]
    """Shape of its pre-activations."""
    statistics: Mapping[str, float]
    """Measurements by name; NaN where there is nothing to measure."""
    predicted: Mapping[str, ExpectedInterval]
    """Expectations of theory by name, given the weights: value and interval at this width."""
    healthy: Mapping[str, ExpectedInterval] = field(default_factory=dict)
    """Intervals of healthy networks of this depth by name, whatever the weights: `second_moment`
    and `gradient_rms`, for layers that form a chain with others."""
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    """Histograms of a sample of its signal: `preactivation`, and `activation` if another layer
    has it as input. With `seeds`, of all initializations together."""


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """The state of a network at initialization.

    `print(diagnosis)` shows faults with their causes and cures, `rich.print(diagnosis.table())`
    all layers. A notebook shows a table.

    The statistics of a layer are, for its pre-activations, `mean`, `std`, `rms`, `second_moment`,
    `largest` (absolute value), `correlation` (mean cosine of pairs of rows) and `effective_rank`;
    for its input, `input_rms`; for its activations, `zero_fraction`, `dead_fraction` and
    `saturated_fraction`; for the loss of one example, `gradient_rms` and `weight_gradient_rms`;
    for its kernel, `weight_rms`, `inner` (⟨W, ∂W⟩), `equal_units` and `equal_inputs` (how many have
    the same weights as another one), `equal_unit_gradients` and `equal_input_gradients` (the same
    for gradients), and `update_ratio` (RMS of the optimizer's first update over that of the
    weights); for a residual branch, `branch_ratio` (its RMS over that of the residual stream).

    >>> diagnosis = Diagnosis("stable", (), 2.3, "cross-entropy")
    >>> diagnosis, diagnosis.healthy
    (<Diagnosis: stable, 0 layers, cross-entropy 2.3>, True)
    """

    verdict: str
    """The worst verdict of all faults."""
    layers: tuple[LayerDiagnosis, ...]
    """All layers, in execution order."""
    loss: float
    loss_name: str
    notes: tuple[str, ...] = ()
    """Further remarks, as sentences."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """With `seeds`, the fraction of initializations by verdict."""
    learning_rate: LearningRateDiagnosis | None = None
    """With `optimizer`, whether its learning rate fits; `verdict` is about the initialization."""
    other_faults: tuple[LayerDiagnosis, ...] = ()
    """Faults of what is not a layer, without statistics: parameters that are not kernels, and in a
    network without layers its inputs, targets and loss."""
    jacobian: Jacobian | None = None
    """With `jacobian=True`, the singular values of the Jacobian."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Versions of jinit and JAX, and the device of the measurement."""

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict == "stable"

    @property
    def faults(self) -> tuple[LayerDiagnosis, ...]:
        """Layers and parameters with a fault that no other one causes, the worst first.

        If others cause every fault, these are all faults. A verdict other than `stable` has one.
        """
        faulty = [each for each in self.layers if each.verdict != "stable"]
        faulty += self.other_faults
        paths = {each.path for each in faulty}
        causes = [each for each in faulty if each.source not in paths] or faulty
        return tuple(sorted(causes, key=lambda each: VERDICTS.index(each.verdict)))

    def table(self) -> "Group":
        """Return a page for the terminal: faults, their causes and cures, and all layers.

        `rich.print(diagnosis.table())` shows it. It needs `jinit[report]`.

        Raises:
          MissingExtraError: if rich is not installed.
        """
        from jinit.report import explain_missing_extra

        with explain_missing_extra("A diagnosis as a table"):
            from jinit.report.diagnosis.terminal import diagnosis_table

        return diagnosis_table(self.to_dict())

    def plot(self, path: Path | str | None = None) -> "Figure":
        """Return a figure of signal, gradient and correlation by layer, with theory's intervals.

        Needs `jinit[report]`.

        Args:
          path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.

        Raises:
          MissingExtraError: if matplotlib is not installed.
          ValueError: if the suffix is another one, or the folder does not exist.
        """
        from jinit.report import diagnosis_figure

        return diagnosis_figure(self.to_dict(), path)

    def report(self, path: Path | str) -> Path:
        """Write a page with faults, cures, charts of all layers and a table; return its path.

        The page is one HTML file, which needs no network. It needs `jinit[report]`.

        Args:
          path: the file to write, whose name ends in .html.

        Raises:
          MissingExtraError: if Jinja is not installed.
          ValueError: if the name ends otherwise, or the file cannot be written.
        """
        from jinit.report.diagnosis.page import diagnosis_report

        return diagnosis_report(self.to_dict(), path)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can hold; NaN and infinity become None."""
        return plain_data(asdict(self) | {"faults": [asdict(layer) for layer in self.faults]})

    def __repr__(self) -> str:
        from jinit.report.diagnosis.text import headline_text

        return f"<Diagnosis: {headline_text(self.to_dict())}>"

    def __str__(self) -> str:
        from jinit.report.diagnosis.text import diagnosis_text

        return diagnosis_text(self.to_dict())

    def _repr_html_(self) -> str:
        from jinit.report.diagnosis.html import diagnosis_html

        return diagnosis_html(self.to_dict())
