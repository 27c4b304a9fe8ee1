"""Where a network of one's own is ordered and where chaotic, over scales of its weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.diagnostics.batch import Batch, outputs_of, prepared
from jinit.diagnostics.losses import aimed, along
from jinit.diagnostics.measure import measure
from jinit.diagnostics.phase_theory import theory_chi
from jinit.diagnostics.plain import plain
from jinit.model import Leaf, Model

_MEMORY = 2**24
"""Parameters of all the networks that are measured at once."""
_DEVIATIONS = 2.0
"""Standard deviations that the gradient of a critical network of finite width may stray."""


@dataclass(frozen=True)
class PhaseDiagram:
    """Measurements of a network over a grid; arrays have a row for each scale of the weights."""

    sigma_w: np.ndarray
    sigma_b: np.ndarray
    """Of a depth diagram, zeros."""
    depths: np.ndarray
    """Of a depth diagram, in place of the biases' scales; else empty."""
    growth: np.ndarray
    """ln of the mean square of the last layer's pre-activations over the first's."""
    correlation: np.ndarray
    """Mean cosine of two examples' pre-activations at the last layer."""
    chi: np.ndarray
    """Growth of the gradient's squared norm per layer, backwards; geometric mean of all layers."""
    theory_chi: np.ndarray
    """χ₁ of `jinit.theory.fixed_point` within 0.5%, for the activation behind most kernels; its
    limit where variances vanish or explode, NaN where theory has none."""
    phase: np.ndarray
    """By `chi`: `ordered`, `chaotic`, or `critical` if chance may have moved it off 1 at these
    widths, by twice `√(Σ 5/n)` over all layers; `unknown` if nothing could be measured."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which JSON can hold: NaN and infinity are None."""
        return plain(asdict(self))


def phase_diagram(
    model: Model,
    key: Array,
    *inputs: Any,
    sigma_w: Sequence[float] = tuple(np.linspace(0.5, 3.0, 11)),
    sigma_b: Sequence[float] = (0.0, 0.1, 0.3, 0.5, 1.0),
    seeds: int = 1,
) -> PhaseDiagram:
    r"""Measure a network with kernels from `N(0, σ_w²/fan_in)` and biases from `N(0, σ_b²)`.

    All cells of a seed share their normal numbers, so that they differ by the scales alone. What is
    neither kernel nor bias is drawn by the model's own `init`; without one, scales are 1,
    embeddings standard normal and all else 0.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`; at least two layers.
      key: of all draws. inputs: a batch like the traced one; without any, normal numbers.
      sigma_w: values above 0. sigma_b: values of at least 0.
      seeds: starts to measure; the diagram has medians over them.

    Raises:
      TypeError: `model` is no Model.
      ValueError: fewer than two layers, inputs unlike the model's, a scale out of range, no seeds.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016; Schoenholz et al., "Deep information propagation", 2017.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> def apply(w, x):
    ...     for each in w:
    ...         x = jnp.tanh(x @ each)
    ...     return x
    >>> model = trace(apply, [jnp.zeros((128, 128))] * 8, jnp.zeros((16, 128)))
    >>> found = phase_diagram(model, jax.random.key(0), sigma_w=(0.5, 3.0), sigma_b=(0.0,))
    >>> found.phase.tolist(), bool(abs(found.chi - found.theory_chi).max() < 0.1)
    ([['ordered'], ['chaotic']], True)
    """
    batch = _checked("phase_diagram", model, key, inputs, sigma_w, sigma_b, seeds)
    columns = _columns(model, batch, sigma_w, sigma_b, seeds)
    return _diagram(sigma_w, sigma_b, (), columns)


def depth_diagram(
    build: Callable[[int], Model],
    key: Array,
    gains: Sequence[float],
    depths: Sequence[int],
    *,
    inputs: Sequence[Any] = (),
    seeds: int = 1,
) -> PhaseDiagram:
    r"""The same measurements over depths: kernels from `N(0, gain²/fan_in)`, biases 0.

    Args:
      build: depth -> the Model of that depth.
      key: of all draws. gains: values above 0, the rows. depths: the columns.
      inputs: a batch like the traced one; without any, normal numbers.
      seeds: starts to measure; the diagram has medians over them.

    Raises:
      TypeError: `build` returns no Model.
      ValueError: as for `phase_diagram`; no depths.

    Reference: Schoenholz et al., "Deep information propagation", 2017, figure 5.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> def apply(w, x):
    ...     for each in w:
    ...         x = jax.nn.relu(x @ each)
    ...     return x
    >>> def build(depth):
    ...     return trace(apply, [jnp.zeros((64, 64))] * depth, jnp.zeros((8, 64)))
    >>> found = depth_diagram(build, jax.random.key(0), gains=(1.0, 2**0.5), depths=(2, 8))
    >>> found.growth.shape, found.phase[:, 1].tolist()
    ((2, 2), ['ordered', 'critical'])
    """
    if not len(depths):
        raise ValueError("depth_diagram: expected at least one depth, got none")
    columns = []
    for depth in depths:
        model = build(depth)
        batch = _checked("depth_diagram", model, key, inputs, gains, (0.0,), seeds)
        columns += _columns(model, batch, gains, (0.0,), seeds)
    return _diagram(gains, np.zeros(len(depths)), depths, columns)


def _checked(
    name: str,
    model: Model,
    key: Array,
    inputs: Sequence[Any],
    sigma_w: Sequence[float],
    sigma_b: Sequence[float],
    seeds: int,
) -> Batch:
    batch = prepared(name, model, inputs, key)
    bad = [each for each in sigma_w if not 0 < each < math.inf]
    bad += [each for each in sigma_b if not 0 <= each < math.inf]
    if bad or not len(sigma_w) or not len(sigma_b):
        seen = f"{bad[0]!r}" if bad else "no values"
        raise ValueError(f"{name}: expected scales of weights > 0, of biases ≥ 0, got {seen}")
    if batch.rest or len(model.layers) < 2 or seeds < 1:
        raise ValueError(
            f"{name}: expected {len(model.inputs)} inputs, a network of at least 2 layers and at "
            f"least 1 seed, got {len(inputs)}, {len(model.layers)} and {seeds}"
        )
    return batch._replace(rest=[aimed(outputs_of(model), batch.key)])


def _columns(
    model: Model, batch: Batch, sigma_w: Sequence[float], sigma_b: Sequence[float], seeds: int
) -> list[tuple[np.ndarray, ...]]:
    """For each scale of the biases: growth, correlation, χ, its theory, and words."""
    cells = [np.ravel(each) for each in np.meshgrid(sigma_b, sigma_w)]
    found = _cells(model, seeds, cells[1], cells[0], batch)
    seconds, apart, totals = np.asarray(found, np.float64).transpose(2, 0, 1, 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.median(np.log(seconds[..., -1]) - np.log(seconds[..., 0]), 0)
        back = np.median(np.log(totals[..., 0]) - np.log(totals[..., -1]), 0)
    widths = [model.contractions[number].width for number, _ in model.layers[:-1]]
    reach = _DEVIATIONS * math.sqrt(sum(5 / width for width in widths))
    words = np.select(
        [np.isnan(back), np.abs(back) <= reach, back < 0],
        ["unknown", "critical", "ordered"],
        "chaotic",
    )
    chi = np.exp(back / len(widths))
    every = growth, 1 - np.median(apart[..., -1], 0), chi, theory_chi(model, *cells[::-1]), words
    shape = len(sigma_w), len(sigma_b)
    return list(zip(*(each.reshape(shape).T for each in every), strict=True))


def _diagram(
    sigma_w: Sequence[float],
    sigma_b: Any,
    depths: Sequence[int],
    columns: Sequence[tuple[np.ndarray, ...]],
) -> PhaseDiagram:
    every = (np.stack(each, 1) for each in zip(*columns, strict=True))
    return PhaseDiagram(np.asarray(sigma_w), np.asarray(sigma_b), np.asarray(depths, int), *every)


@partial(jax.jit, static_argnums=(0, 1))
def _cells(model: Model, seeds: int, sigma_w: Array, sigma_b: Array, batch: Batch) -> Array:
    """Axes: seed, cell, statistic (second moment, 1 - correlation, gradient), layer."""
    size = sum(math.prod(leaf.shape) for leaf in model.leaves)
    chunk = max(1, min(len(sigma_w), _MEMORY // max(size, 1)))
    tree = jax.tree.structure(model.params)

    def start(key: Array) -> Array:
        ours, theirs = jax.random.split(key)
        leaves = _drawn(model, ours, theirs)

        def cell(scales: tuple[Array, Array]) -> Array:
            by_role = dict(zip(("kernel", "bias"), scales, strict=True))
            scaled = [
                (leaf * by_role[role]).astype(leaf.dtype) if role in by_role else leaf
                for role, leaf in leaves
            ]
            found = measure(
                *(model, tree.unflatten(scaled), batch.inputs),
                lambda outputs: along(outputs, batch.rest[0]),
            )
            layers = [(each.made.second, each.made.apart, each.back.total) for each in found.layers]
            return jnp.stack([_of_layer(layers[number], step) for number, step in model.layers], 1)

        return lax.map(cell, (sigma_w, sigma_b), batch_size=chunk)

    return lax.map(start, jax.random.split(batch.key, seeds))


def _of_layer(found: Sequence[Array], step: int | None) -> Array:
    """Of one round of a loop over stacked kernels, or of all rounds together."""
    return jnp.stack([each.mean() if step is None else each.ravel()[step] for each in found])


def _drawn(model: Model, key: Array, others: Array) -> list[tuple[str, Array]]:
    """Roles and values of all leaves, in their order: kernels and biases as for scales of 1."""
    known = {leaf.path: leaf for leaf in model.leaves}
    flat = jax.tree.leaves(model.params)
    own = flat if model.init is None else jax.tree.leaves(model.tree(model.init(others)))
    # One draw for all of them: each takes a second to compile.
    ends = np.cumsum([math.prod(leaf.shape) for leaf in flat])
    numbers = jnp.split(jax.random.normal(key, (ends[-1],)), ends[:-1])
    return [
        _leaf(known[path], value, each.reshape(value.shape), model.init is not None)
        for path, value, each in zip(model.paths, own, numbers, strict=True)
    ]


def _leaf(leaf: Leaf, own: Any, normal: Array, initialized: bool) -> tuple[str, Array]:
    draws = jnp.issubdtype(leaf.dtype, jnp.floating)
    normal = normal.astype(leaf.dtype) if draws else normal
    if draws and (leaf.role == "bias" or (leaf.role == "kernel" and leaf.fan_in)):
        fan_in = leaf.fan_in if leaf.role == "kernel" and leaf.fan_in else 1
        return leaf.role, normal / math.sqrt(fan_in)
    if initialized:
        return "", own
    if draws and leaf.role == "embedding":
        return "", normal
    return "", jnp.full(leaf.shape, leaf.role == "scale", leaf.dtype)
