"""The effect of the scale of the initial weights on a network: signal, gradient, loss, verdict."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jax import Array

from jinit.diagnostics.diagnosis_details import read_provenance
from jinit.diagnostics.initial_params import given_arguments, read_params
from jinit.diagnostics.judging.diagnosis import Diagnosis
from jinit.diagnostics.measuring.batch import output_shapes, prepare_loss_batch
from jinit.diagnostics.measuring.histograms import count_entries, layer_entries
from jinit.diagnostics.measuring.losses import Loss, choose_loss
from jinit.diagnostics.measuring.plain import plain_data
from jinit.diagnostics.measuring.runs import Setting
from jinit.diagnostics.recorded import RecordedJudge
from jinit.diagnostics.scale_runs import ScaleRun, measure_scales, multiply_kernels
from jinit.gains import needed, parameter_scales
from jinit.hooks import read_network
from jinit.model import Model, PyTree, trace_for

SCALES = tuple(2.0 ** (number / 4) for number in range(-12, 13))
"""Factors from 1/8 to 8, four for each doubling."""
_REACH = 4.0
"""End of the histograms, in units of the RMS at the scale nearest to 1."""


@dataclass(frozen=True)
class ScaleEffect:
    """Measurements of a network over the scale of its kernels.

    Arrays have a row for each scale, and a column for each layer in execution order.
    """

    scales: np.ndarray
    """Factors by which all kernels are multiplied; 1 is the given initialization."""
    layers: tuple[str, ...]
    """Paths of the layers' kernels, as in `Diagnosis.layers`."""
    verdicts: tuple[str, ...]
    """The verdict of `jinit.diagnose` at each scale."""
    causes: tuple[str, ...]
    """The cause of the worst fault at each scale, empty where there is none."""
    loss: np.ndarray
    loss_name: str
    signal_std: np.ndarray
    """Standard deviation of the pre-activations."""
    gradient_std: np.ndarray
    """Standard deviation of the gradient of one example's loss with respect to them."""
    healthy_signal: np.ndarray
    """Range of the RMS of the pre-activations in healthy networks: the ends along the last axis,
    NaN where there is none."""
    healthy_gradient: np.ndarray
    """Range of the RMS of the gradient in healthy networks, likewise."""
    histograms: np.ndarray
    """Counts of sampled activations along the last axis; of pre-activations where no layer takes
    the activations in."""
    histogram_range: tuple[float, float]
    """Ends of the histograms, in units of the layer's RMS at the scale nearest to 1. Numbers beyond
    them count in the outermost intervals."""
    recommended: float
    """Median over kernels of the factor that leads to the scale of `jinit.recommend`; NaN without
    such kernels."""
    provenance: dict[str, str]

    @property
    def stable_scales(self) -> np.ndarray:
        """The scales at which the verdict is `stable`."""
        return self.scales[np.array(self.verdicts) == "stable"]

    def report(self, path: Path | str) -> Path:
        """Write a page with a slider over the scale, and return its path.

        The page is one HTML file, which needs no network. It needs `jinit[report]`.

        Args:
          path: the file to write, whose name ends in .html.

        Raises:
          MissingExtraError: if Jinja is not installed.
          ValueError: if the name ends otherwise, or the file cannot be written.
        """
        from jinit.report.scale.page import scale_report

        return scale_report(self.to_dict(), path)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can hold; NaN and infinity become None."""
        return plain_data(asdict(self))

    def __str__(self) -> str:
        from jinit.report.scale.text import scale_text

        return scale_text(self.to_dict())


def scale_effect(
    model: Any,
    params: PyTree | None = None,
    *batch: PyTree,
    loss: Loss | None = None,
    key: Array | None = None,
    scales: Sequence[float] = SCALES,
) -> ScaleEffect:
    """Measure a network at several scales of its kernels: too small, right and too large.

    All kernels are multiplied by the same factor; biases, embeddings and parameters of
    normalizations stay as they are. One program measures all scales.

    Args:
      model: a network or a module, as for `jinit.diagnose`.
      params: its parameters, which have scale 1; None for the network's own initialization.
      *batch: inputs, then targets, as for `jinit.diagnose`.
      loss: `loss(outputs, *targets)`, a mean over examples; by default what the targets imply.
      key: key of a random direction, of drawn inputs and of drawn parameters.
      scales: the factors, above 0.

    Returns:
      Verdict, loss, and the signal and gradient of all layers at each scale.

    Raises:
      TypeError: if `model` is not a network, `key` not a key, or `loss` not a function.
      ValueError: if a scale is not above 0 and finite, the model has no kernel that is applied to a
        signal, or `jinit.diagnose` raises.

    Reference: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, section 4.2.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = list(jax.random.normal(jax.random.key(0), (4, 32, 32)) / 32**0.5)
    >>> x = jax.random.normal(jax.random.key(1), (16, 32))
    >>> model = jinit.trace(lambda w, x: x @ w[0] @ w[1] @ w[2] @ w[3], w, x)
    >>> effect = scale_effect(model, w, x, scales=(1.0, 3.0))
    >>> (effect.signal_std[1] / effect.signal_std[0]).round(2).tolist()
    [3.0, 9.0, 27.0, 81.0]
    """
    name = "scale_effect"
    _check_factors(scales)
    model, params, batch = read_network(name, model, given_arguments(params, batch))
    model = trace_for(model, batch)
    prepared = prepare_loss_batch(name, model, batch, loss, key)
    if not model.layers:
        raise ValueError(
            f"{name}: jinit found no kernel that is applied to a signal, so there is no scale to "
            "change; trace the network with its kernels as parameters"
        )
    params = read_params(name, model, params, prepared.key)
    setting = Setting(model, loss, optimizer=None)
    runs = measure_scales(setting, params, prepared, np.asarray(scales, np.float32))
    loss_name = choose_loss(loss, output_shapes(model), prepared.targets).name
    judge = RecordedJudge(model, prepared.inputs, prepared.targets, loss, loss_name)
    diagnoses = [
        judge.diagnose(run.measurements, multiply_kernels(model, params, np.float32(scale)))
        for run, scale in zip(runs, scales, strict=True)
    ]
    counts, ends = _count_activations(model, runs, int(np.argmin(np.abs(np.log(scales)))))
    return ScaleEffect(
        scales=np.asarray(scales, float),
        layers=model.layer_names,
        verdicts=tuple(each.verdict for each in diagnoses),
        causes=tuple(each.faults[0].cause if each.faults else "" for each in diagnoses),
        loss=np.array([each.loss for each in diagnoses]),
        loss_name=loss_name,
        signal_std=np.stack([run.signal.activation_std for run in runs]),
        gradient_std=np.stack([run.signal.gradient_std for run in runs]),
        healthy_signal=np.sqrt(_healthy_ends(diagnoses, "second_moment")),
        healthy_gradient=_healthy_ends(diagnoses, "gradient_rms"),
        histograms=counts,
        histogram_range=ends,
        recommended=_recommended_factor(model, params),
        provenance=read_provenance(),
    )


def _check_factors(scales: Sequence[float]) -> None:
    bad = [scale for scale in scales if not 0 < scale < math.inf]
    if bad or not len(scales):
        seen = repr(bad[0]) if bad else "none"
        raise ValueError(
            f"scale_effect: expected factors above 0, such as scales=(0.5, 1.0, 2.0), got {seen}"
        )


def _healthy_ends(diagnoses: Sequence[Diagnosis], statistic: str) -> np.ndarray:
    """Return the lower and upper end by scale and layer; NaN where there is no range."""
    return np.array(
        [
            [layer.healthy.get(statistic, [math.nan] * 3)[1:] for layer in each.layers]
            for each in diagnoses
        ]
    )


def _count_activations(
    model: Model, runs: Sequence[ScaleRun], reference: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the histograms by scale and layer, and their ends in units of the reference's RMS."""
    entries = [
        [found.get("activation", found["preactivation"]) for found in layer_entries(model, each)]
        for each in (run.samples for run in runs)
    ]
    units = [_finite_rms(values) for values in entries[reference]]
    has_negative = any(bool((values < 0).any()) for values in entries[reference])
    low, high = -_REACH * has_negative, _REACH
    counts = [
        [
            count_entries(values / unit, low, high).counts
            for values, unit in zip(row, units, strict=True)
        ]
        for row in entries
    ]
    return np.array(counts), (low, high)


def _finite_rms(values: np.ndarray) -> float:
    """Return the root mean square of the finite entries; 1 if there are none or all are zero."""
    finite = values[np.isfinite(values)]
    return math.sqrt(float(np.mean(finite**2))) or 1.0 if finite.size else 1.0


def _recommended_factor(model: Model, params: PyTree) -> float:
    stds = parameter_scales(model, params)
    pairs = [(needed(leaf), stds[leaf.path].std) for leaf in model.leaves if leaf.role == "kernel"]
    factors = [scale.std / std for scale, std in pairs if scale is not None and std > 0]
    return float(np.median(factors)) if factors else math.nan
