"""LSUV: every layer of a network scaled to unit variance on data, one after the other."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.checks import check_number, check_whole
from jinit.calibrate.kernels import AppliedKernels
from jinit.calibrate.layers import (
    LayerSite,
    evaluate_layers,
    pooled_mean,
    read_sites,
    values_by_layer,
)
from jinit.calibrate.method import BaseInitializer, Findings, Method, apply_or_keep
from jinit.calibrate.report import Report
from jinit.model import Model, Place, PyTree

_SMALLEST = 1e-20
"""Smallest variance of a product that is scaled to another one in float32."""
_FIRST_PASSES = 3
"""Passes that measure the layers before, scale them, and measure them after."""


def lsuv(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    init: BaseInitializer = "orthogonal",
    target: float = 1.0,
    tolerance: float = 0.02,
    passes: int = 20,
) -> Any:
    r"""Scale every kernel so that the outputs of its layer have unit variance on data (LSUV).

    In order of execution, and before its activation function, a layer y = W x + b gets the kernel
    s W with Var(s W x + b) = target over all examples, positions and units. Later layers see the
    scaled outputs, so that one forward pass scales all of them. A kernel that is applied in
    several places, or in every step of a recurrence, is scaled by the mean variance over these, for
    which the passes are repeated. Each member of an ensemble and each iteration of a loop over
    stacked kernels is a layer of its own. BatchNorm uses the statistics of the batch.

    The paper begins from orthogonal kernels and zero biases, on inputs of unit variance.

    Args:
      model: the traced network; None to get a value of the axis `init` of a sweep.
      params: its parameters.
      data: an array of inputs, a batch `(inputs, ...)`, or an iterable of batches, over which the
        variance is pooled.
      key: not used: nothing is drawn.
      init: initializer of the kernels in a sweep.
      target: the variance.
      tolerance: largest relative deviation of a variance from the target.
      passes: most forward passes.

    Returns:
      The scaled parameters and a Report; without a model, the method with its options.

    Raises:
      ValueError: if an option cannot work, or the data does not fit the model.

    References:
      Mishkin and Matas, "All you need is a good init", 2016, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> apply = lambda w, x: jnp.tanh(x @ w[0]) @ w[1]
    >>> model = jinit.trace(apply, [jnp.ones((4, 8)), jnp.ones((8, 3))], jnp.ones((64, 4)))
    >>> keys = jax.random.split(jax.random.key(0), 3)
    >>> w = [jax.random.normal(keys[0], (4, 8)), jax.random.normal(keys[1], (8, 3))]
    >>> x = jax.random.normal(keys[2], (64, 4))
    >>> scaled, report = lsuv(model, w, x)
    >>> round(float(jnp.var(apply(scaled, x))), 3)
    1.0
    """
    method = Lsuv(init=init, target=target, tolerance=tolerance, passes=passes)
    return apply_or_keep(method, model, params, data, key)


class _Observed(NamedTuple):
    """Observations of the layers in one pass, by place."""

    variance: dict[Place, Array]
    scale: dict[Place, Array]
    """Factor of the kernel with which the variance would be the target; 1 if there is none."""
    weight: dict[Place, Array]
    """1 where there is such a factor; 0 where not."""
    can_scale: dict[Place, Array]


class _State(NamedTuple):
    """State of the search after some passes."""

    params: PyTree
    passes: Array
    is_far: Array
    """Whether the variance of a kernel that can be scaled is not yet that of the target."""
    before: dict[Place, Array]
    """Variances before anything was scaled."""
    last: _Observed


@dataclass(frozen=True, kw_only=True, repr=False)
class Lsuv(Method):
    """The method `lsuv` with its options."""

    init: BaseInitializer = "orthogonal"
    target: float = 1.0
    tolerance: float = 0.02
    passes: int = 20

    name: ClassVar[str] = "lsuv"

    def check(self) -> None:
        """Raise if an option has a value that cannot work."""
        check_number(self.name, "target", self.target)
        check_number(self.name, "tolerance", self.tolerance)
        check_whole(self.name, "passes", self.passes, _FIRST_PASSES)

    def find(
        self, model: Model, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return the scaled parameters, and the variances before and after."""
        del key
        sites = read_sites(model)

        def step(state: _State) -> _State:
            seen = self._observe(model, sites, state.params, batches, state.passes > 0)
            kernels = AppliedKernels(model, state.params)
            squares = {place: 1 / each**2 for place, each in seen.scale.items()}
            means = kernels.means(squares, seen.weight)
            deviations = [jnp.max(jnp.abs(mean - 1), initial=0) for mean in means]
            is_far = jnp.stack([jnp.zeros(()), *deviations]).max() > self.tolerance
            is_scaling = (state.passes > 0) & is_far
            params = kernels.multiply([jnp.where(is_scaling, mean**-0.5, 1) for mean in means])
            is_first = state.passes == 0
            before = jax.tree.map(partial(jnp.where, is_first), seen.variance, state.before)
            return _State(params, state.passes + 1, is_far, before, seen)

        def is_unfinished(state: _State) -> Array:
            is_early = state.passes < _FIRST_PASSES
            return is_early | (state.is_far & (state.passes < self.passes))

        shapes = jax.eval_shape(
            lambda: self._observe(model, sites, params, batches, jnp.array(False))
        )
        empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        first = _State(params, jnp.zeros((), jnp.int32), jnp.array(True), empty.variance, empty)
        state = jax.lax.while_loop(is_unfinished, step, first)
        statistics = {
            "variance before": _layer_variances(model, state.before, state.last.can_scale),
            "variance after": _layer_variances(model, state.last.variance, state.last.can_scale),
            "can scale": values_by_layer(model, state.last.can_scale),
        }
        return state.params, Findings(statistics, {}, state.passes)

    def _observe(
        self,
        model: Model,
        sites: tuple[LayerSite, ...],
        params: PyTree,
        batches: DataBatches,
        is_scaling: Array,
    ) -> _Observed:
        taps = {site.result_place: partial(self._tap, site, is_scaling) for site in sites}
        seen = evaluate_layers(model, params, batches, taps)
        by_place = {site.place: seen[site.result_place] for site in sites}
        fields = [{place: each[i] for place, each in by_place.items()} for i in range(4)]
        return _Observed(*fields)

    def _tap(
        self, site: LayerSite, is_scaling: Array, operands: Any, result: Array, probe: Any
    ) -> tuple[Array, tuple[Array, ...]]:
        """Observe the variance of a layer, and scale its product if the kernel has one place."""
        del probe
        product, bias = result.astype(jnp.float32), jnp.zeros(())
        if site.bias_operand is not None:
            bias = operands[site.bias_operand].astype(jnp.float32)
            product = operands[1 - site.bias_operand].astype(jnp.float32)
        by_member = site.by_member(product), site.by_member(jnp.broadcast_to(bias, product.shape))
        moments = _Moments.of(*by_member, len(site.copies))
        scale, can_scale = moments.solve(self.target)
        if site.reason:
            scale, can_scale = jnp.ones_like(scale), jnp.zeros_like(can_scale)
        if site.is_single and not site.reason:
            factor = jnp.where(is_scaling, scale, 1)
            axes = [axis for axis, _ in site.copies]
            others = [axis for axis in range(product.ndim) if axis not in axes]
            factor = jnp.expand_dims(factor, others)
            result = (factor * product + bias).astype(result.dtype)
        can_scale = can_scale.astype(jnp.float32)
        on_kernel = site.on_kernel(scale), site.on_kernel(can_scale)
        return result, (moments.total, *on_kernel, can_scale)

    def report(self, model: Model, findings: Findings, seconds: float) -> Report:
        """Return the report, in which layers that could not be scaled are named."""
        statistics: dict[str, Any] = dict(findings.layers)
        can_scale = statistics.pop("can scale")
        sites, skipped = read_sites(model), {}
        for place, (name, (number, _)) in enumerate(
            zip(model.layer_names, model.layers, strict=True)
        ):
            variance = float(statistics["variance after"][place])
            reason = sites[number].reason
            if not reason and not can_scale[place] > 0:
                reason = _dead_reason(variance, self.target)
            elif not reason and abs(variance / self.target - 1) > self.tolerance:
                reason = (
                    f"its variance is {variance:.3g} after {int(findings.passes)} passes; its "
                    "kernel is applied in several places, or not in proportion to the parameter"
                )
            if reason:
                skipped[name] = reason
        return Report(
            repr(self),
            model.layer_names,
            statistics,
            skipped,
            passes=float(findings.passes),
            seconds=seconds,
        )


def _layer_variances(
    model: Model, variances: dict[Place, Array], can_scale: dict[Place, Array]
) -> Array:
    """Return the mean variance of each layer, over the steps of a recurrence where it has one."""
    counted = {place: each * can_scale[place] for place, each in variances.items()}
    total, count = values_by_layer(model, counted), values_by_layer(model, can_scale)
    plain = values_by_layer(model, variances)
    return jnp.where(count > 0, total / jnp.where(count > 0, count, 1), plain)


class _Moments(NamedTuple):
    """Variances and covariance of a product W x and a bias b, pooled over a batch."""

    product: Array
    both: Array
    bias: Array

    @classmethod
    def of(cls, product: Array, bias: Array, members: int) -> "_Moments":
        mean = partial(pooled_mean, members=members)
        others = tuple(range(members, product.ndim))
        first, second = (each - jnp.expand_dims(mean(each), others) for each in (product, bias))
        return cls(mean(first**2), mean(first * second), mean(second**2))

    @property
    def total(self) -> Array:
        """Variance of W x + b."""
        return self.product + 2 * self.both + self.bias

    def solve(self, target: float) -> tuple[Array, Array]:
        """Return the s > 0 with Var(s W x + b) = target, and whether there is one."""
        room = target - self.bias
        root = jnp.sqrt(jnp.maximum(self.both**2 + self.product * room, 0)) - self.both
        scale = root / jnp.where(self.product > _SMALLEST, self.product, 1)
        can_scale = (self.product > _SMALLEST) & (room > 0) & jnp.isfinite(scale) & (scale > 0)
        return jnp.where(can_scale, scale, 1.0), can_scale


def _dead_reason(variance: float, target: float) -> str:
    if not np.isfinite(variance):
        return "its outputs are not finite"
    if variance > target:
        return f"its bias alone has a variance above {target:g}"
    return "its outputs have no variance, so that no factor changes them"
