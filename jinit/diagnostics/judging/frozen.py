"""Find parameters whose first update is lost in the rounding of their dtype."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp

from jinit.diagnostics.judging.diagnosis import Diagnosis, LayerDiagnosis
from jinit.diagnostics.judging.finding import VERDICTS, Finding, percent_text
from jinit.diagnostics.judging.learning_rate import count_text
from jinit.diagnostics.judging.thresholds import KEPT_FRACTION
from jinit.diagnostics.measuring.parameter_update import ParameterUpdate
from jinit.model import Model

_NEARLY_CONSTANT = 0.1
"""Standard deviation over the mean below which it helps to store the difference from the mean."""

_MARGIN = 1.1
"""Factor above half a spacing, which is rounded to the value before; it also covers the rounding of
the number to two digits."""


def add_frozen(
    diagnosis: Diagnosis, model: Model, updates: Mapping[str, ParameterUpdate]
) -> Diagnosis:
    """Return a diagnosis with the parameters that an optimizer's first update cannot move.

    A fault that was found already stays the fault of its layer. If the learning rate is too small,
    parameters of full precision are not named: their dtype is not the cause.

    Args:
      diagnosis: the diagnosis, with that of the learning rate.
      model: the traced network.
      updates: first updates of the trained parameters, by path.
    """
    is_slow = diagnosis.learning_rate is not None and (
        diagnosis.learning_rate.verdict == "too small"
    )
    abstract = model.by_path(model.params)
    found = {
        path: _frozen_finding(abstract[path].dtype, update)
        for path, update in updates.items()
        if update.kept_fraction > KEPT_FRACTION
        if not (is_slow and jnp.finfo(abstract[path].dtype).bits >= 32)
    }
    if not found:
        return diagnosis
    kernels = [model.paths[model.contractions[number].kernel] for number, _ in model.layers]
    layers = tuple(map(_freeze_layer, diagnosis.layers, [found.get(path) for path in kernels]))
    others = tuple(
        _parameter_fault(path, abstract[path].shape, finding)
        for path, finding in found.items()
        if path not in kernels
    )
    return replace(
        diagnosis,
        verdict=min(diagnosis.verdict, "frozen", key=VERDICTS.index),
        layers=layers,
        other_faults=(*diagnosis.other_faults, *others),
    )


def _frozen_finding(dtype: Any, update: ParameterUpdate) -> Finding:
    rms, size = math.sqrt(update.value_second), math.sqrt(update.update_second)
    spacing = spacing_below(dtype, rms)
    cause = (
        f"{percent_text(float(update.kept_fraction))} of its entries keep their value at the "
        f"optimizer's first update: it has RMS {size:.2g}, and numbers of {dtype} near {rms:.3g} "
        f"are {spacing:.2g} apart"
    )
    factor = _MARGIN * max(spacing / 2 / size, 1.0)
    ways = [f"a learning rate {count_text(factor)} times larger"]
    variance = max(update.value_second - update.mean**2, 0.0)
    if math.sqrt(variance) < _NEARLY_CONSTANT * abs(update.mean):
        ways.insert(0, f"store its difference from {update.mean:.3g}")
    if jnp.finfo(dtype).bits < 32:
        ways.insert(0, "param_dtype=jnp.float32 (float32 weights, cast where they are used)")
    return Finding("frozen", cause, ", or ".join(ways))


def spacing_below(dtype: Any, value: float) -> float:
    """Return the distance from a positive number of a dtype to the next smaller one.

    >>> spacing_below(jnp.bfloat16, 1.0), spacing_below(jnp.bfloat16, 1.5)
    (0.00390625, 0.0078125)
    """
    info = jnp.finfo(dtype)
    if value <= float(info.tiny):
        return float(info.smallest_subnormal)
    mantissa, exponent = math.frexp(value)
    is_power_of_two = mantissa == 0.5
    return float(info.eps) * 2.0 ** (exponent - 1 - is_power_of_two)


def _freeze_layer(layer: LayerDiagnosis, finding: Finding | None) -> LayerDiagnosis:
    if finding is None or layer.verdict != "stable":
        return layer
    return replace(layer, verdict=finding.verdict, cause=finding.cause, cure=finding.cure)


def _parameter_fault(path: str, shape: Sequence[int], finding: Finding) -> LayerDiagnosis:
    return LayerDiagnosis(
        path=path,
        verdict=finding.verdict,
        cause=finding.cause,
        cure=finding.cure,
        source="",
        shape=tuple(shape),
        statistics={},
        predicted={},
    )
