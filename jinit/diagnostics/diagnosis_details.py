"""Details of a diagnosis beside its verdict: histograms, the Jacobian, versions and device."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import metadata

import jax

from jinit.diagnostics.judging.diagnosis import Diagnosis
from jinit.diagnostics.measuring.batch import Batch
from jinit.diagnostics.measuring.histograms import SignalSample, layer_histograms
from jinit.diagnostics.spectra.jacobian import jacobian
from jinit.model import Model, PyTree


def add_histograms(
    diagnosis: Diagnosis, model: Model, samples: Sequence[SignalSample]
) -> Diagnosis:
    """Return a diagnosis with the histograms of its layers, and with versions and device.

    Args:
      diagnosis: the diagnosis.
      model: the traced network.
      samples: samples of its signals, as NumPy arrays.
    """
    pairs = zip(diagnosis.layers, layer_histograms(model, samples), strict=True)
    return replace(
        diagnosis,
        layers=tuple(replace(layer, histograms=found) for layer, found in pairs),
        provenance=read_provenance(),
    )


def add_jacobian(diagnosis: Diagnosis, model: Model, params: PyTree, batch: Batch) -> Diagnosis:
    """Return a diagnosis with the spectrum of the Jacobian, or a note why there is none.

    Args:
      diagnosis: the diagnosis.
      model: the traced network.
      params: its parameters.
      batch: the batch of the diagnosis.
    """
    try:
        spectrum = jacobian(model, params, *batch.inputs, key=batch.key)
    except ValueError as error:
        return replace(diagnosis, notes=(*diagnosis.notes, f"no Jacobian spectrum: {error}"))
    return replace(diagnosis, jacobian=spectrum)


def read_provenance() -> dict[str, str]:
    """Return the versions of jinit and JAX, and the device."""
    device = jax.local_devices()[0]
    return dict(_versions()) | {"device": f"{device.platform}: {device.device_kind}"}


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple((package, metadata.version(package)) for package in ("jinit", "jax"))
