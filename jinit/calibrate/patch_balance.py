"""Layers balanced so that the gradient of every kernel is the same multiple of the kernel."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.patch_walk import evaluate_batches
from jinit.calibrate.unit_operands import AppliedOperands, UnitOperand
from jinit.calibrate.units import UnitSite
from jinit.model import Model, Place, PyTree, Tap, fast_convolutions

_TOLERANCE = 0.01
"""Largest relative deviation of a ratio from its target with which layers count as balanced."""


class Balance(NamedTuple):
    """The ratios of gradients to kernels, and the outputs, for some parameters."""

    ratios: dict[Place, Array]
    """Root mean square of the gradient in units of that of the kernel, in the rank of the kernel
    with a leading axis for each loop."""
    squares: dict[Place, Array]
    """Mean squares of the units before their biases, by the place of the bias."""
    output_std: Array


class _State(NamedTuple):
    params: PyTree
    rounds: Array
    balance: Balance


def balance_layers(
    model: Model,
    params: PyTree,
    batches: DataBatches,
    key: Array,
    sites: Sequence[UnitSite],
    rounds: int,
) -> tuple[PyTree, Balance, Balance, Array]:
    """Scale kernels and biases until the gradients of all kernels are equal multiples of them.

    Args:
      model: the network.
      params: its parameters.
      batches: the data.
      key: key of the random gradients of the outputs.
      sites: the layers, none of which has a reason to be left alone.
      rounds: most times that layers are scaled.

    Returns:
      The parameters, the ratios before and after, and the number of times that layers were scaled.
    """
    measure = partial(_measure, model, batches, key, sites)

    def is_unfinished(state: _State) -> Array:
        deviations = [jnp.abs(each - 1).max() for each in _relative(state.balance, sites).values()]
        is_far = jnp.stack([jnp.zeros(()), *deviations]).max() > _TOLERANCE
        return is_far & (state.rounds < rounds)

    def step(state: _State) -> _State:
        factors = jax.tree.map(jnp.sqrt, _relative(state.balance, sites))
        scaled = _scale(model, state.params, batches, sites, factors, state.balance.squares)
        return _State(scaled, state.rounds + 1, measure(scaled))

    before = measure(params)
    first = _State(params, jnp.zeros((), jnp.int32), before)
    state = jax.lax.while_loop(is_unfinished, fast_convolutions(step), first)
    return state.params, before, state.balance, state.rounds


def _relative(balance: Balance, sites: Sequence[UnitSite]) -> dict[Place, Array]:
    """Return the ratio of every layer in units of its target; each member has its own target."""
    members = _members(sites)
    logs = {place: jnp.log(each).reshape(-1, *members) for place, each in balance.ratios.items()}
    count = sum(map(len, logs.values()))
    output = jnp.log(jnp.where(balance.output_std > 0, balance.output_std, 1))
    # Factors sqrt(r / target) have the product 1 / std, by which a homogeneous network changes.
    total = sum(each.sum(0, keepdims=True) for each in logs.values()) + 2 * output
    target = total / max(count, 1)
    return {
        place: jnp.exp(logs[place] - target).reshape(each.shape)
        for place, each in balance.ratios.items()
    }


def _members(sites: Sequence[UnitSite]) -> tuple[int, ...]:
    """Return the numbers of members of an ensemble, if they are the same for all layers."""
    found = {
        tuple(site.factor.operation.operand_shapes[site.factor.operand][axis] for axis in axes)
        for site, axes in ((site, _member_axes(site)) for site in sites)
    }
    return found.pop() if len(found) == 1 else ()


def _member_axes(site: UnitSite) -> tuple[int, ...]:
    """Return the axes of a kernel that enumerate the members of an ensemble."""
    if site.factor.operation.name == "conv_general_dilated":
        return ()
    return tuple(sorted(site.factor.operation.dot_dimension_numbers[1][site.factor.operand]))


def _measure(
    model: Model, batches: DataBatches, key: Array, sites: Sequence[UnitSite], params: PyTree
) -> Balance:
    """Return the ratios of gradients to kernels for a random gradient of the outputs."""
    factors = [site.factor for site in sites]
    offsets = [site.offset for site in sites if site.offset is not None]
    kernels = AppliedOperands(model, params, factors).values
    taps: dict[Place, Tap] = {each.place: partial(_add_probe, each) for each in factors}
    taps |= {each.place: partial(_observe_square, each) for each in offsets}

    def project(probes: dict[Place, Array]) -> tuple[Array, tuple[Array, dict[Place, Any]]]:
        outputs, seen = evaluate_batches(model, params, batches, taps, probes)
        wide = [
            each.astype(jnp.float32) for each in outputs if jnp.issubdtype(each.dtype, jnp.floating)
        ]
        tops = [
            jax.random.normal(jax.random.fold_in(key, number), each.shape)
            for number, each in enumerate(wide)
        ]
        total = sum((jnp.vdot(top, each) for top, each in zip(tops, wide, strict=True)), 0.0)
        flat = jnp.concatenate([jnp.zeros(0), *(each.reshape(-1) for each in wide)])
        return jnp.asarray(total), (jnp.std(flat), seen)

    zeros = jax.tree.map(jnp.zeros_like, kernels)
    gradients, (output_std, seen) = jax.grad(project, has_aux=True)(zeros)
    ratios, has_members = {}, bool(_members(sites))
    for site in sites:
        place = site.factor.place
        gradient = _mean_square(site, gradients[place], has_members)
        kernel = _mean_square(site, kernels[place], has_members)
        is_used = (gradient > 0) & (kernel > 0)
        ratios[place] = jnp.where(is_used, jnp.sqrt(gradient / jnp.where(is_used, kernel, 1)), 1.0)
    return Balance(ratios, {each.place: seen[each.place] for each in offsets}, output_std)


def _mean_square(site: UnitSite, values: Array, has_members: bool) -> Array:
    """Return the mean square over a kernel; iterations and members keep their own."""
    loops = len(site.loop_lengths)
    members = {loops + axis for axis in _member_axes(site)} if has_members else ()
    kept = {*range(loops), *members}
    axes = tuple(axis for axis in range(values.ndim) if axis not in kept)
    return jnp.mean(values.astype(jnp.float32) ** 2, axes, keepdims=True)


def _scale(
    model: Model,
    params: PyTree,
    batches: DataBatches,
    sites: Sequence[UnitSite],
    factors: dict[Place, Array],
    squares: dict[Place, Array],
) -> PyTree:
    """Return the parameters with scaled kernels, and biases scaled as the units they shift."""
    offsets = [site.offset for site in sites if site.offset is not None]
    taps: dict[Place, Tap] = {
        site.factor.place: partial(_scale_kernel, site.factor) for site in sites
    }
    taps |= {each.place: partial(_scale_bias, each) for each in offsets}
    _, seen = evaluate_batches(model, params, batches, taps, factors | squares)
    by_bias = {each.place: seen[each.place] for each in offsets}
    applied = AppliedOperands(model, params, [*(site.factor for site in sites), *offsets])
    return applied.update(factors | by_bias, {})


def _bind(operand: UnitOperand, operands: Sequence[Array], value: Array) -> Array:
    given = list(operands)
    given[operand.operand] = value.astype(given[operand.operand].dtype)
    return operand.operation.bind(given)[0]


def _add_probe(
    operand: UnitOperand, operands: Sequence[Array], result: Array, probe: Array
) -> tuple[Array, None]:
    del result
    return _bind(operand, operands, operands[operand.operand] + probe), None


def _scale_kernel(
    operand: UnitOperand, operands: Sequence[Array], result: Array, probe: Array
) -> tuple[Array, None]:
    del result
    return _bind(operand, operands, operands[operand.operand] * probe), None


def _observe_square(
    operand: UnitOperand, operands: Sequence[Array], result: Array, probe: Any
) -> tuple[Array, Array]:
    del probe
    return result, jax.lax.stop_gradient(_square(operand, operands))


def _scale_bias(
    operand: UnitOperand, operands: Sequence[Array], result: Array, probe: Array
) -> tuple[Array, Array]:
    """Scale a bias as the unit it shifts; the probe is the mean square of this unit before."""
    del result
    square = _square(operand, operands)
    is_used = (probe > 0) & (square > 0)
    factor = jnp.where(is_used, jnp.sqrt(square / jnp.where(is_used, probe, 1)), 1)
    return _bind(operand, operands, operands[operand.operand] * factor), factor


def _square(operand: UnitOperand, operands: Sequence[Array]) -> Array:
    return operand.mean(operands[1 - operand.operand].astype(jnp.float32) ** 2)
