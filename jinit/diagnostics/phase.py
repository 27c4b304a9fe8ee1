"""Phase diagrams of a traced network: ordered or chaotic, over the scales of its weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jax import Array

from jinit.diagnostics.initial_params import read_params
from jinit.diagnostics.measuring.batch import Batch, fit_model, output_shapes, prepare_inputs
from jinit.diagnostics.measuring.losses import draw_direction
from jinit.diagnostics.measuring.plain import plain_data
from jinit.diagnostics.phase_grid import PhaseGrid, measure_grid
from jinit.diagnostics.phase_parameters import OwnScales, own_scales
from jinit.model import Model, PyTree

if TYPE_CHECKING:
    from jinit.report.diagnosis.phase_figure import Figure


@dataclass(frozen=True)
class PhaseDiagram:
    """Measurements of a network over a grid; arrays have a row for each scale of the weights."""

    sigma_w: np.ndarray
    """Scales σ_w of the weights, the rows."""
    sigma_b: np.ndarray
    """Scales σ_b of the biases, the columns; zeros in a depth diagram."""
    depths: np.ndarray
    """Depths, the columns of a depth diagram; else empty."""
    growth: np.ndarray
    """ln of the mean square of the last layer's pre-activations over that of the first layer's."""
    correlation: np.ndarray
    """Mean correlation (uncentered) of the pre-activations of two examples at the last layer."""
    chi: np.ndarray
    """Growth of the gradient's squared norm per layer, backward; geometric mean over all layers."""
    theory_chi: np.ndarray
    """χ₁ of `jinit.theory.fixed_point` within 0.5%, for the activation that follows most kernels.
    Where variances vanish or explode it is the limit of χ₁; where theory has none, NaN."""
    phase: np.ndarray
    """`ordered` (`chi` below 1), `chaotic` (above 1), or `critical` if fluctuations at these widths
    explain the difference from 1: ln of the gradient's total growth is within twice `√(Σ 5/n)`,
    summed over all layers of width n. `unknown` if nothing could be measured."""
    own: OwnScales | None = None
    """Scales of the network's own initialization; None if it is not known."""

    def plot(self, path: Path | str | None = None) -> "Figure":
        """Return a figure of the measured phase and χ in every cell.

        Needs `jinit[report]`.

        Args:
          path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.

        Raises:
          MissingExtraError: if matplotlib is not installed.
          ValueError: if the suffix is another one, or the folder does not exist.
        """
        from jinit.report.diagnosis.phase_figure import phase_figure

        return phase_figure(self.to_dict(), path)

    def report(self, path: Path | str) -> Path:
        """Write a page with the measured diagram, that of theory, and the network's own point.

        The page is one HTML file, which needs no network. It needs `jinit[report]`.

        Args:
          path: the file to write, whose name ends in .html.

        Returns:
          The path.

        Raises:
          MissingExtraError: if Jinja is not installed.
          ValueError: if the name ends otherwise, or the file cannot be written.
        """
        from jinit.report.diagnosis.phase_page import phase_report

        return phase_report(self.to_dict(), path)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can hold; NaN and infinity become None."""
        own = None if self.own is None else self.own._asdict()
        return plain_data(asdict(self) | {"own": own})


def phase_diagram(
    model: Model,
    key: Array,
    *inputs: PyTree,
    sigma_w: Sequence[float] = tuple(np.linspace(0.5, 3.0, 11)),
    sigma_b: Sequence[float] = (0.0, 0.1, 0.3, 0.5, 1.0),
    seeds: int = 1,
    params: PyTree | None = None,
) -> PhaseDiagram:
    r"""Measure a network with kernels from `N(0, σ_w²/fan_in)` and biases from `N(0, σ_b²)`.

    All cells of a seed use the same normal numbers, so that they differ in the scales alone. All
    other parameters are drawn by the model's own `init`; without one, scales are 1, embeddings
    standard normal and everything else 0.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`; at least two layers.
      key: key of everything that is drawn.
      *inputs: a batch like the traced one; without any, normal numbers are drawn.
      sigma_w: scales of the weights, above 0.
      sigma_b: scales of the biases, at least 0.
      seeds: number of initializations to measure; the diagram has medians over them.
      params: parameters whose point the diagram shows; None for the model's own initialization.

    Raises:
      TypeError: if `model` is not a Model or `key` is not a key.
      ValueError: if there are fewer than two layers or no seeds, the inputs are not like the
        model's, a scale is out of range, or the model cannot be differentiated.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016; Schoenholz et al., "Deep information propagation", 2017.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> def apply(w, x):
    ...     for each in w:
    ...         x = jnp.tanh(x @ each)
    ...     return x
    >>> model = trace(apply, [jnp.zeros((128, 128))] * 8, jnp.zeros((16, 128)))
    >>> diagram = phase_diagram(model, jax.random.key(0), sigma_w=(0.5, 3.0), sigma_b=(0.0,))
    >>> diagram.phase.tolist(), bool(abs(diagram.chi - diagram.theory_chi).max() < 0.1)
    ([['ordered'], ['chaotic']], True)
    """
    model = fit_model("phase_diagram", model, inputs)
    batch = _prepare_diagram_batch("phase_diagram", model, key, inputs, seeds)
    _check_scales("phase_diagram", sigma_w, sigma_b)
    grid = measure_grid("phase_diagram", model, batch, sigma_w, sigma_b, seeds)
    return PhaseDiagram(
        sigma_w=np.asarray(sigma_w),
        sigma_b=np.asarray(sigma_b),
        depths=np.zeros(0, int),
        **grid._asdict(),
        own=_find_own(model, params, key),
    )


def _find_own(model: Model, params: PyTree | None, key: Array) -> OwnScales | None:
    if params is None and model.init is None:
        return None
    return own_scales(model, read_params("phase_diagram", model, params, key))


def depth_diagram(
    build: Callable[[int], Model],
    key: Array,
    *inputs: PyTree,
    sigma_w: Sequence[float],
    depths: Sequence[int],
    seeds: int = 1,
) -> PhaseDiagram:
    r"""Measure networks of several depths with kernels from `N(0, σ_w²/fan_in)` and biases 0.

    Args:
      build: function of a depth that returns the Model of that depth.
      key: key of everything that is drawn.
      *inputs: a batch like the traced one; without any, normal numbers are drawn.
      sigma_w: scales of the weights, above 0: the rows.
      depths: depths of the networks: the columns.
      seeds: number of initializations to measure; the diagram has medians over them.

    Raises:
      TypeError: if `build` does not return a Model or `key` is not a key.
      ValueError: if there are no depths or no seeds, a network has fewer than two layers, the
        inputs are not like the model's, a scale is out of range, or a model cannot be
        differentiated.

    Reference: Schoenholz et al., "Deep information propagation", 2017, figure 5.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> def apply(w, x):
    ...     for each in w:
    ...         x = jax.nn.relu(x @ each)
    ...     return x
    >>> def build(depth):
    ...     return trace(apply, [jnp.zeros((64, 64))] * depth, jnp.zeros((8, 64)))
    >>> diagram = depth_diagram(build, jax.random.key(0), sigma_w=(1.0, 2**0.5), depths=(2, 8))
    >>> diagram.growth.shape, diagram.phase[:, 1].tolist()
    ((2, 2), ['ordered', 'critical'])
    """
    if not len(depths):
        raise ValueError("depth_diagram: expected at least one depth, got none")
    _check_scales("depth_diagram", sigma_w, (0.0,))
    grids = []
    for depth in depths:
        model = fit_model("depth_diagram", build(depth), inputs)
        batch = _prepare_diagram_batch("depth_diagram", model, key, inputs, seeds)
        grids.append(measure_grid("depth_diagram", model, batch, sigma_w, (0.0,), seeds))
    grid = PhaseGrid(*(np.concatenate(fields, 1) for fields in zip(*grids, strict=True)))
    return PhaseDiagram(
        sigma_w=np.asarray(sigma_w),
        sigma_b=np.zeros(len(depths)),
        depths=np.asarray(depths, int),
        **grid._asdict(),
    )


def _prepare_diagram_batch(
    name: str, model: Model, key: Array, inputs: Sequence[PyTree], seeds: int
) -> Batch:
    """Return a checked batch with a random direction of the outputs."""
    batch = prepare_inputs(name, model, inputs, key)
    if seeds < 1:
        raise ValueError(f"{name}: expected at least 1 seed, got {seeds!r}")
    if len(model.layers) < 2:
        raise ValueError(
            f"{name}: expected a network of at least 2 layers, between which a signal can grow, "
            f"got {len(model.layers)}"
        )
    for path, leaf in model.by_path(model.params).items():
        if 0 in leaf.shape:
            raise ValueError(
                f"{name}: the parameter {path!r} has shape {leaf.shape} and so no entries to "
                "measure; check the sizes of the layer, or leave the parameter out of the model"
            )
    return batch._replace(targets=[draw_direction(output_shapes(model), batch.key)])


def _check_scales(name: str, sigma_w: Sequence[float], sigma_b: Sequence[float]) -> None:
    bad = [value for value in sigma_w if not 0 < value < math.inf]
    bad += [value for value in sigma_b if not 0 <= value < math.inf]
    if bad or not len(sigma_w) or not len(sigma_b):
        seen = f"{bad[0]!r}" if bad else "no values"
        raise ValueError(f"{name}: expected scales of weights > 0, of biases ≥ 0, got {seen}")
