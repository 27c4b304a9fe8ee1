"""Measure a network at many scales of its kernels, in one compiled program."""

import math
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.diagnostics.differentiability import explain_missing_gradient
from jinit.diagnostics.measuring.batch import Batch, count_examples
from jinit.diagnostics.measuring.floating import is_floating
from jinit.diagnostics.measuring.histograms import SignalSample, sample_signals
from jinit.diagnostics.measuring.measure import Measurements, summarize
from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.diagnostics.measuring.runs import Setting, observe_one
from jinit.diagnostics.measuring.signal import Signal, layer_signals
from jinit.diagnostics.phase_parameters import DrawnLeaf, scale_leaves
from jinit.diagnostics.recorded import keep_compact
from jinit.model import Model, PyTree

_MAX_ENTRIES = 2**26
"""Largest number of parameters and recorded values of all scales that are measured at once."""
_ARRAYS_PER_LAYER = 3


class ScaleRun(NamedTuple):
    """One network at one scale; with several scales, arrays have an axis for them in front."""

    measurements: Measurements
    signal: Signal
    samples: tuple[SignalSample, ...]


def measure_scales(
    setting: Setting, params: PyTree, batch: Batch, scales: np.ndarray
) -> list[ScaleRun]:
    """Return one run for each scale, with NumPy arrays.

    Args:
      setting: the network and its loss.
      params: its parameters at scale 1.
      batch: inputs and targets.
      scales: the factors.
    """
    chunk = _chunk_size(setting.model, len(scales))
    padded = np.pad(scales, (0, -len(scales) % chunk), "edge")  # a rest would be compiled again
    with explain_missing_gradient("scale_effect"):
        runs = jax.device_get(_run_scales(setting, chunk, padded, params, batch))
    return [jax.tree.map(itemgetter(number), runs) for number in range(len(scales))]


def scale_kernels(model: Model, params: PyTree, scale: Any) -> PyTree:
    """Return parameters whose kernels are multiplied by a factor.

    Args:
      model: the traced network.
      params: its parameters.
      scale: the factor.
    """
    leaves, tree = jax.tree.flatten(params)
    drawn = []
    for path, value in zip(model.paths, leaves, strict=True):
        leaf = model.leaf(path)
        is_kernel = leaf.role == "kernel" and is_floating(leaf)
        drawn.append(DrawnLeaf("kernel" if is_kernel else "", jnp.asarray(value)))
    return tree.unflatten(scale_leaves(drawn, scale, scale))


def _chunk_size(model: Model, count: int) -> int:
    """Return the number of scales that are measured at once, of equally large chunks."""
    sizes = [math.prod(leaf.shape) for leaf in model.leaves]
    sizes += [
        _ARRAYS_PER_LAYER * math.prod((*layer.loop_lengths, *layer.shape))
        for layer in model.contractions
    ]
    most = max(1, _MAX_ENTRIES // max(sum(sizes), 1))
    return math.ceil(count / math.ceil(count / most))


@jit_recent(2)
def _run_scales(
    setting: Setting, chunk: int, scales: Array, params: PyTree, batch: Batch
) -> ScaleRun:
    model, examples = setting.model, count_examples(batch.inputs)

    def run(scale: Array) -> ScaleRun:
        scaled = scale_kernels(model, params, scale)
        observation = observe_one(setting, scaled, batch)
        measured = keep_compact(summarize(model, scaled, observation, examples))
        samples = sample_signals(model, observation)
        return ScaleRun(measured, layer_signals(model, measured), samples)

    return lax.map(run, scales, batch_size=chunk)
