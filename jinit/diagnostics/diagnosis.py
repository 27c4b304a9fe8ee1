"""What is known of a network at its starting point."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jinit.diagnostics.band import Band
from jinit.diagnostics.finding import VERDICTS
from jinit.diagnostics.plain import plain


@dataclass(frozen=True)
class LayerDiagnosis:
    """One layer: a place where a kernel is applied to a signal."""

    path: str
    verdict: str
    cause: str
    cure: str
    source: str
    """Layer that the fault comes from; empty if it is this one."""
    shape: tuple[int, ...]
    """Of its pre-activations."""
    statistics: Mapping[str, float]
    """What was measured, by name; NaN where there is nothing to measure."""
    predicted: Mapping[str, Band]
    """What theory expects of a network of this width, and between what a healthy one may lie."""


@dataclass(frozen=True)
class Diagnosis:
    """What is known of a network at its starting point.

    Statistics of a layer, of its pre-activations unless said otherwise: `mean`, `std`, `rms`,
    `second_moment`, `correlation` (mean cosine of pairs of rows), `effective_rank`; of what it
    takes in, `input_rms`; of what is made of it, `zero_fraction`, `dead_fraction`,
    `saturated_fraction`; `gradient_rms` and `weight_gradient_rms` of the loss of one example;
    `inner`, ⟨W, ∂W⟩; `equal_units` and `equal_inputs`, how many have the weights of another one,
    and of gradients, `equal_unit_gradients` and `equal_input_gradients`; `update_ratio`, RMS of the
    optimizer's first update over the weights'; `branch_ratio`, RMS of the residual branch over its
    stream's.

    >>> Diagnosis("stable", (), 2.3, "cross-entropy").healthy
    True
    """

    verdict: str
    """The worst of any layer."""
    layers: tuple[LayerDiagnosis, ...]
    """In execution order."""
    loss: float
    loss_name: str
    notes: tuple[str, ...] = ()
    """What else is to be known."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """With `seeds`, the share of starts with each verdict."""

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict == "stable"

    @property
    def faults(self) -> tuple[LayerDiagnosis, ...]:
        """The layers at which something is wrong that comes from nowhere else, the worst first."""
        own = [each for each in self.layers if each.verdict != "stable" and not each.source]
        every = own or [each for each in self.layers if each.verdict != "stable"]
        return tuple(sorted(every, key=lambda each: VERDICTS.index(each.verdict)))

    def table(self) -> Any:
        """The page for a terminal: what is wrong, where, why, what to write instead; all layers.

        `rich.print(diagnosis.table())` shows it; `print(diagnosis)` is the short form.
        """
        from jinit.report import needed_for

        with needed_for("A diagnosis as a table"):
            from jinit.report.diagnosis import diagnosis_page

        return diagnosis_page(self.to_dict())

    def plot(self, path: Any = None) -> Any:
        """A figure of signal, gradient and correlation by layer, beside theory's bands.

        Written to `path` as PNG if given; needs `jinit[report]`.
        """
        from jinit.report import diagnosis_figure

        return diagnosis_figure(self.to_dict(), path)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which JSON can hold: NaN and infinity are None."""
        return plain(asdict(self) | {"faults": [asdict(each) for each in self.faults]})

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {len(self.layers)} layers, {self.loss_name} {self.loss:.4g}"]
        lines += [f"  {each.path}: {each.verdict}; {each.cause}" for each in self.faults[:5]]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])
