"""Histograms of a sample of the signal at every layer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from jinit.diagnostics.judging.layers import layer_consumers
from jinit.diagnostics.measuring.floating import widen
from jinit.diagnostics.measuring.observe import Observation
from jinit.model import Model

SAMPLE_SIZE = 4096
"""Largest number of entries of a signal that a histogram counts."""
_BINS = 40
_REACH = 4.0
"""Standard deviations on either side of the mean that a histogram shows."""


@dataclass(frozen=True)
class Histogram:
    """Counts of a sample of numbers in intervals of equal width."""

    low: float
    high: float
    counts: tuple[int, ...]
    """Entries in each interval; those beyond the ends count in the first and the last one."""


class SignalSample(NamedTuple):
    """Sampled entries at a contraction: arrays with the axes iteration, entry."""

    input: Array
    preactivation: Array


def sample_signals(model: Model, observation: Observation) -> tuple[SignalSample, ...]:
    """Return a sample of the signals at each of the model's contractions.

    The function is pure. Outside a compiled function it is one small program for each shape.

    Args:
      model: the traced network.
      observation: values recorded in one run.
    """
    samples = []
    for contraction, signals in zip(model.contractions, observation.layers, strict=True):
        rows = math.prod(contraction.loop_lengths)
        both = signals.input, signals.preactivation
        samples.append(SignalSample(*(_sample_entries(value, rows) for value in both)))
    return tuple(samples)


@partial(jax.jit, static_argnames="rows")
def _sample_entries(value: Array, rows: int) -> Array:
    table = value.reshape(rows, -1)
    return widen(table if table.shape[1] <= SAMPLE_SIZE else table[:, _spread(table.shape[1])])


@lru_cache(maxsize=64)
def _spread(count: int) -> np.ndarray:
    """Return indices below `count`, one at random from each of as many equal intervals."""
    places = np.arange(SAMPLE_SIZE) + np.random.default_rng(0).random(SAMPLE_SIZE)
    return (places * (count / SAMPLE_SIZE)).astype(np.int32)


def layer_entries(model: Model, samples: Sequence[SignalSample]) -> list[dict[str, np.ndarray]]:
    """Return the sampled entries of each layer: `preactivation`, and `activation` if there is one.

    A layer has activations if another one takes them as input.

    Args:
      model: the traced network.
      samples: those of `sample_signals` as NumPy arrays, which may have an axis in front.
    """
    entries = []
    for (number, iteration), consumer in zip(model.layers, layer_consumers(model), strict=True):
        found = {"preactivation": _iteration_entries(samples[number].preactivation, iteration)}
        if consumer is not None:
            following, step = model.layers[consumer]
            found["activation"] = _iteration_entries(samples[following].input, step)
        entries.append(found)
    return entries


def _iteration_entries(sample: Array | np.ndarray, iteration: int | None) -> np.ndarray:
    values = np.asarray(sample, np.float64)
    return values if iteration is None else values[..., iteration, :]


def layer_histograms(
    model: Model, samples: Sequence[SignalSample]
) -> list[Mapping[str, Histogram]]:
    """Return the histograms of each layer by name, each over a range that fits it.

    A signal without finite entries has none.

    Args:
      model: the traced network.
      samples: those of `sample_signals` as NumPy arrays, which may have an axis in front.
    """
    return [
        {
            name: count_entries(values, *fitting_range(values))
            for name, values in found.items()
            if np.isfinite(values).any()
        }
        for found in layer_entries(model, samples)
    ]


def count_entries(values: np.ndarray, low: float, high: float) -> Histogram:
    """Return the histogram of the finite entries of an array over a given range.

    Args:
      values: the numbers.
      low: lower end.
      high: upper end, above the lower one.

    >>> count_entries(np.array([-9.0, 0.0, np.nan]), -1.0, 1.0).counts[0]
    1
    """
    places = (np.ravel(values) - low) * (_BINS / (high - low))
    places = np.clip(places[np.isfinite(places)], 0, _BINS - 1).astype(np.int32)
    return Histogram(low, high, tuple(np.bincount(places, minlength=_BINS).tolist()))


def fitting_range(values: np.ndarray) -> tuple[float, float]:
    """Return a range of a histogram: within four standard deviations of the mean.

    Args:
      values: numbers, of which at least one is finite.

    >>> fitting_range(np.array([0.0, 1.0])), fitting_range(np.array([3.0]))
    ((0.0, 1.0), (1.5, 4.5))
    """
    finite = values[np.isfinite(values)]
    middle, reach = float(finite.mean()), _REACH * float(finite.std())
    low, high = max(float(finite.min()), middle - reach), min(float(finite.max()), middle + reach)
    if high - low > 1e-6 * max(abs(low), abs(high)):
        return low, high
    half = abs(middle) / 2 or 0.5
    return middle - half, middle + half
