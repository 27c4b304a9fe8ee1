"""Measure a network in every cell of a phase diagram, in one compiled program."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.diagnostics.differentiability import explain_missing_gradient
from jinit.diagnostics.measuring.batch import Batch
from jinit.diagnostics.measuring.losses import project_outputs
from jinit.diagnostics.measuring.measure import measure, read_iteration
from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.diagnostics.measuring.statistics import Scalar
from jinit.diagnostics.phase_parameters import draw_leaves, scale_leaves
from jinit.diagnostics.phase_theory import theory_chi
from jinit.model import Model, PyTree

_MAX_PARAMETERS = 2**24
"""Largest number of parameters of all networks that are measured at once."""
_CRITICAL_DEVIATIONS = 2.0
"""Standard deviations by which the gradient of a critical network of finite width may fluctuate."""


class PhaseGrid(NamedTuple):
    """The measured fields of a diagram: arrays (sigma_w, columns)."""

    growth: np.ndarray
    correlation: np.ndarray
    chi: np.ndarray
    theory_chi: np.ndarray
    phase: np.ndarray


class _CellValues(NamedTuple):
    """Arrays with an entry for each layer along the last axis."""

    second: Scalar
    """Mean square of the pre-activations."""
    decorrelation: Scalar
    """1 minus the mean correlation of pairs of examples."""
    gradient_total: Scalar
    """Sum of squares of the gradient."""


def measure_grid(
    name: str,
    model: Model,
    batch: Batch,
    sigma_w: Sequence[float],
    sigma_b: Sequence[float],
    seeds: int,
) -> PhaseGrid:
    """Measure a network in every cell: medians over seeds."""
    grid_b, grid_w = np.meshgrid(sigma_b, sigma_w)
    with explain_missing_gradient(name):
        cells = _measure_cells(model, seeds, grid_w.ravel(), grid_b.ravel(), batch)
    cells = _CellValues(*(np.asarray(values, np.float64) for values in cells))
    seconds, totals = cells.second, cells.gradient_total
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.median(np.log(seconds[..., -1]) - np.log(seconds[..., 0]), 0)
        gradient_growth = np.median(np.log(totals[..., 0]) - np.log(totals[..., -1]), 0)
    widths = [model.contractions[number].width for number, _ in model.layers[:-1]]
    fields = PhaseGrid(
        growth=growth,
        correlation=1 - np.median(cells.decorrelation[..., -1], 0),
        chi=np.exp(gradient_growth / len(widths)),
        theory_chi=theory_chi(model, grid_w.ravel(), grid_b.ravel()),
        phase=_name_phases(gradient_growth, widths),
    )
    return PhaseGrid(*(values.reshape(grid_w.shape) for values in fields))


def _name_phases(gradient_growth: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Return the phase for each logarithm of the growth of the gradient over all layers."""
    fluctuation = _CRITICAL_DEVIATIONS * math.sqrt(sum(5 / width for width in widths))
    return np.select(
        [
            np.isnan(gradient_growth),
            np.abs(gradient_growth) <= fluctuation,
            gradient_growth < 0,
        ],
        ["unknown", "critical", "ordered"],
        "chaotic",
    )


@jit_recent(2)
def _measure_cells(
    model: Model, seeds: int, sigma_w: Array, sigma_b: Array, batch: Batch
) -> _CellValues:
    """Return arrays with the axes seed, cell, layer."""
    size = sum(math.prod(leaf.shape) for leaf in model.leaves)
    chunk = max(1, min(len(sigma_w), _MAX_PARAMETERS // max(size, 1)))
    tree = jax.tree.structure(model.params)

    def measure_seed(key: Array) -> _CellValues:
        normals_key, init_key = jax.random.split(key)
        leaves = draw_leaves(model, normals_key, init_key)

        def measure_cell(scales: tuple[Array, Array]) -> _CellValues:
            params = tree.unflatten(scale_leaves(leaves, *scales))
            return _measure_layers(model, params, batch)

        return lax.map(measure_cell, (sigma_w, sigma_b), batch_size=chunk)

    return lax.map(measure_seed, jax.random.split(batch.key, seeds))


def _measure_layers(model: Model, params: PyTree, batch: Batch) -> _CellValues:
    """Return arrays with an entry for each layer."""
    measurements = measure(
        model,
        params,
        batch.inputs,
        lambda outputs: project_outputs(outputs, batch.targets[0]),
    )
    layers = []
    for number, iteration in model.layers:
        layer = measurements.layers[number]
        values = layer.preactivation.second, layer.preactivation.decorrelation, layer.gradient.total
        layers.append([read_iteration(value, iteration) for value in values])
    return _CellValues(*map(jnp.stack, zip(*layers, strict=True)))
