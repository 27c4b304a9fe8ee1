"""Measure a network at many scales of its kernels, by one compiled program."""

import math
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jinit.diagnostics.differentiability import explain_missing_gradient
from jinit.diagnostics.measuring.batch import Batch, count_examples
from jinit.diagnostics.measuring.floating import is_floating
from jinit.diagnostics.measuring.histograms import SignalSample, sample_signals
from jinit.diagnostics.measuring.measure import Measurements, summarize
from jinit.diagnostics.measuring.observe import Observation
from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.diagnostics.measuring.runs import Setting, observe_seeds
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
    model = setting.model
    chunk = _chunk_size(model, len(scales))
    padded = np.pad(scales, (0, -len(scales) % chunk), "edge")  # a rest would be compiled again
    summarize_run = partial(_summarize_run, model, count_examples(batch.inputs))
    runs = []
    for part in np.split(padded, len(padded) // chunk):
        scaled = jax.vmap(partial(multiply_kernels, model, params))(part)
        with explain_missing_gradient("scale_effect"):
            observation = observe_seeds(setting, scaled, batch)
        measured, samples = jax.vmap(summarize_run)(scaled, observation)
        both = jax.device_get(ScaleRun(measured, _layer_signals(model, measured), samples))
        runs += [jax.tree.map(itemgetter(number), both) for number in range(chunk)]
    return runs[: len(scales)]


def multiply_kernels(model: Model, params: PyTree, scale: Any) -> PyTree:
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


def _summarize_run(model: Model, examples: int, params: PyTree, observation: Observation) -> Any:
    samples = sample_signals(model, observation)
    return keep_compact(summarize(model, params, observation, examples)), samples


@jit_recent(1)
def _layer_signals(model: Model, measurements: Measurements) -> Signal:
    return jax.vmap(partial(layer_signals, model))(measurements)
