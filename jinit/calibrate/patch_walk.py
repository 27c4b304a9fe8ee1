"""Kernels made from the inputs of their layers, in order of execution."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.patch_filters import draw_filters
from jinit.calibrate.patch_layout import PatchLayout
from jinit.calibrate.unit_operands import AppliedOperands
from jinit.calibrate.unit_statistics import shift_units, unit_moments
from jinit.calibrate.units import UnitSite
from jinit.model import Model, Place, PyTree, Tap, apply_taps

_BATCHES = "batches"
"""The axis over which `pooled_mean` takes means."""


class FilterOptions(NamedTuple):
    """How filters are made."""

    filters: str
    beta: float
    """Mean of every unit."""
    samples: int
    """Most vectors that filters are made from."""


class _Made(NamedTuple):
    """A kernel that was made from the inputs of its layer, with what was found."""

    kernel: Array
    dead: Array
    """Number of units without variance."""
    is_normal: Array
    """1 if there were fewer vectors than units."""


def evaluate_batches(
    model: Model,
    params: PyTree,
    batches: DataBatches,
    taps: Mapping[Place, Tap],
    probes: Mapping[Place, Any],
) -> tuple[list[Array], dict[Place, Any]]:
    """Evaluate a network on all batches together, with probes.

    Args:
      model: the network, traced with the inputs of one batch.
      params: its parameters.
      batches: the batches.
      taps: taps by place; what they observe must not depend on the batch.
      probes: the third argument of each tap, by place.

    Returns:
      The outputs, with a leading axis of batches, and the observations.
    """
    leaves = jax.tree.leaves(params)

    def run(inputs: PyTree) -> tuple[list[Array], dict[Place, Any]]:
        flat = [*leaves, *jax.tree.leaves(list(inputs))]
        outputs, seen = apply_taps(model.graph, flat, taps, probes)
        return list(map(jnp.asarray, outputs)), seen

    outputs, seen = jax.vmap(run, axis_name=_BATCHES)(batches.inputs)
    return outputs, jax.tree.map(lambda leaf: leaf[0], seen)


def make_filters(
    model: Model,
    params: PyTree,
    batches: DataBatches,
    key: Array,
    sites: Sequence[UnitSite],
    options: FilterOptions,
) -> tuple[PyTree, dict[Place, Array], dict[Place, Array]]:
    """Return parameters with filters as kernels, whose units have the same mean and unit variance.

    Args:
      model: the network.
      params: its parameters.
      batches: the data.
      key: key of what is drawn.
      sites: the layers, none of which has a reason to be left alone.
      options: how filters are made.

    Returns:
      The parameters, the number of units without variance, and whether filters are normal for want
      of vectors, by place.
    """
    taps: dict[Place, Tap] = {}
    probes = {}
    for number, site in enumerate(sites):
        site_key = jax.random.fold_in(key, number)
        taps[site.factor.place] = partial(_make, site, site_key, options, batches.length)
        steps = jnp.arange(max(len(site.row_names()), 1))
        probes[site.factor.place] = steps.reshape(site.loop_lengths)
    offsets = [site.offset for site in sites if site.offset is not None]
    taps |= {each.place: partial(shift_units, each, options.beta) for each in offsets}
    _, seen = evaluate_batches(model, params, batches, taps, probes)
    made: dict[Place, _Made] = {site.factor.place: seen[site.factor.place] for site in sites}
    applied = AppliedOperands(model, params, [*(site.factor for site in sites), *offsets])
    values = {place: each.kernel for place, each in made.items()}
    found = applied.update({}, values | {each.place: seen[each.place] for each in offsets})
    dead = {place: each.dead for place, each in made.items()}
    return found, dead, {place: each.is_normal for place, each in made.items()}


def _make(
    site: UnitSite,
    key: Array,
    options: FilterOptions,
    batch_count: int,
    operands: Sequence[Array],
    result: Array,
    probe: Array,
) -> tuple[Array, _Made]:
    """Make the kernel of a layer from its inputs, with unit variance of every unit."""
    factor, layout = site.factor, PatchLayout(site.factor.operation, site.factor.operand)
    key, sample_key = jax.random.split(jax.random.fold_in(key, probe))
    vectors = _gather(
        sample_key, layout.vectors(operands[1 - factor.operand]), options, batch_count
    )
    draw = partial(draw_filters, options.filters, count=layout.unit_count)
    rows = jax.vmap(draw)(jax.random.split(key, layout.group_count), vectors)
    kernel = layout.kernel_of(rows)
    given = list(operands)
    given[factor.operand] = kernel.astype(operands[factor.operand].dtype)
    (product,) = factor.operation.bind(given)
    _, variance, is_alive = unit_moments(factor, product)
    scale = jnp.where(is_alive, 1 / jnp.sqrt(jnp.where(is_alive, variance, 1)), 1)
    scaled = (scale * product.astype(jnp.float32)).astype(result.dtype)
    is_few = jnp.float32(options.filters != "normal" and vectors.shape[1] < layout.unit_count)
    dead = jnp.sum(~is_alive).astype(jnp.float32)
    return scaled, _Made(kernel * factor.on_operand(scale), dead, is_few)


def _gather(key: Array, vectors: Array, options: FilterOptions, batch_count: int) -> Array:
    """Return vectors of all batches, `(groups, number, size)`; a random part if there are many."""
    most = max(options.samples // batch_count, 1)
    if vectors.shape[1] > most:
        own_key = jax.random.fold_in(key, jax.lax.axis_index(_BATCHES))
        chosen = jax.random.choice(own_key, vectors.shape[1], (most,), replace=False)
        vectors = vectors[:, chosen]
    gathered = jnp.moveaxis(jax.lax.all_gather(vectors, _BATCHES), 0, 1)
    return gathered.reshape(len(vectors), -1, vectors.shape[-1])
