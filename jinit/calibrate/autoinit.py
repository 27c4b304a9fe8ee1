"""AutoInit: kernels scaled by the means and variances that theory follows through a network."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.checks import check_number
from jinit.calibrate.expected_moments import ExpectedMoments
from jinit.calibrate.kernels import AppliedKernels
from jinit.calibrate.layers import read_sites, values_by_layer
from jinit.calibrate.method import BaseInitializer, Findings, Method, apply_or_keep
from jinit.calibrate.report import Report
from jinit.calibrate.spread import Spread
from jinit.model import Model, Place, PyTree


def autoinit(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    init: BaseInitializer = "lecun_normal",
    target: float = 1.0,
) -> Any:
    r"""Scale every kernel so that its layer has unit variance in expectation (AutoInit).

    Mean and variance of every array are followed through the traced computation, from those of the
    inputs: activation functions by quadrature over the normal pre-activation, sums, products,
    pooling, normalizations and attention by the moments of independent entries. A layer whose
    inputs have the mean square E[x²] gets weights of variance target / (fan_in E[x²]); at the edges
    of a convolution with padding, only the part of its window inside the input counts. No example
    is run: only mean and variance of each input are taken from the data.

    Kernels that are applied in several places, such as those of recurrent layers, keep their scale,
    as in the paper.

    Args:
      model: the traced network; None to get a value of the axis `init` of a sweep.
      params: its parameters, whose kernels are scaled.
      data: an array of inputs, a batch `(inputs, ...)`, or an iterable of batches.
      key: not used: nothing is drawn.
      init: initializer of the kernels in a sweep.
      target: the variance.

    Returns:
      The scaled parameters and a Report; without a model, the method with its options.

    Raises:
      ValueError: if an option cannot work, or the data does not fit the model.

    References:
      Bingham and Miikkulainen, "AutoInit: analytic signal-preserving weight initialization for
      neural networks", 2023, sections 3 and 4.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> apply = lambda w, x: jax.nn.relu(x @ w[0]) @ w[1]
    >>> w = [jax.random.normal(jax.random.key(i), (64, 64)) for i in (1, 2)]
    >>> model = trace(apply, w, jnp.ones((8, 64)))
    >>> scaled, _ = autoinit(model, w, jax.random.normal(jax.random.key(0), (8, 64)))
    >>> round(float((scaled[1] ** 2).sum()), 3)  # 64 * 64 * 2 / 64
    128.0
    """
    return apply_or_keep(AutoInit(init=init, target=target), model, params, data, key)


@dataclass(frozen=True, kw_only=True, repr=False)
class AutoInit(Method):
    """The method `autoinit` with its options."""

    init: BaseInitializer = "lecun_normal"
    target: float = 1.0

    name: ClassVar[str] = "autoinit"

    def check(self) -> None:
        """Raise if an option has a value that cannot work."""
        check_number(self.name, "target", self.target)

    def find(
        self, model: Model, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return the scaled parameters, their factors and the expected variances."""
        del key
        kernels = AppliedKernels(model, params)
        expected = _expect(model, params, batches, kernels, self.target)
        factors = _stack(model, expected.factors)
        squares, weights = {}, {}
        for site in read_sites(model):
            by_iteration = factors[site.place] ** -2.0
            rank = kernels.values[site.place].ndim
            squares[site.place] = jnp.expand_dims(
                by_iteration, tuple(range(by_iteration.ndim, rank))
            )
            weights[site.place] = jnp.ones_like(squares[site.place])
        params = kernels.multiply([mean**-0.5 for mean in kernels.means(squares, weights)])
        statistics = {
            "factor": values_by_layer(model, factors),
            "expected variance": values_by_layer(model, _stack(model, expected.variances)),
        }
        return params, Findings(statistics, {}, 0)

    def report(self, model: Model, findings: Findings, seconds: float) -> Report:
        """Return the report, in which kernels that keep their scale are named."""
        sites, skipped = read_sites(model), {}
        for name, (number, _) in zip(model.layer_names, model.layers, strict=True):
            reason = sites[number].reason
            if not reason and not sites[number].is_single:
                reason = "its kernel is applied in several places, and keeps its scale"
            if reason:
                skipped[name] = reason
        assumed = "its results are taken to have mean 0 and variance 1: no rule is known for it"
        skipped |= {f"operation {name}": assumed for name in _unknown_operations(model)}
        layers: dict[str, Any] = dict(findings.layers)
        return Report(repr(self), model.layer_names, layers, skipped, seconds=seconds)


def _expect(
    model: Model, params: PyTree, batches: DataBatches, kernels: AppliedKernels, target: float
) -> ExpectedMoments:
    """Follow the moments of a network from those of its data and of its parameters."""
    seconds = {}
    for site in read_sites(model):
        loops = len(site.contraction.loop_lengths)
        squares = jnp.square(kernels.values[site.place].astype(jnp.float32))
        seconds[site.place] = squares.mean(tuple(range(loops, squares.ndim)))
    expected = ExpectedMoments(read_sites(model), seconds, target)
    leaves = [Spread.of_entries(leaf) for leaf in jax.tree.leaves(params)]
    inputs = [Spread.of_entries(leaf) for leaf in jax.tree.leaves(list(batches.inputs))]
    expected.follow(model.graph, [*leaves, *inputs])
    return expected


def _unknown_operations(model: Model) -> tuple[str, ...]:
    """Return the names of operations without a rule."""
    found: list[str] = []

    def run(params: PyTree, inputs: Any) -> None:
        batches = DataBatches(inputs, ())
        found.extend(_expect(model, params, batches, AppliedKernels(model, params), 1.0).unknown)

    jax.eval_shape(run, model.params, model.inputs)
    return tuple(found)


def _stack(model: Model, values: dict[Place, list[Array]]) -> dict[Place, Array]:
    """Return lists by place as arrays with an axis for each loop."""
    lengths = {each.place: each.loop_lengths for each in model.contractions}
    stacked = {}
    for place, each in values.items():
        missing = math.prod(lengths[place]) - len(each)
        stacked[place] = jnp.stack([*each, *each[-1:] * missing]).reshape(lengths[place])
    return stacked
