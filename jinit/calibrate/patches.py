"""Kernels made from patches of the inputs of their layers, and layers balanced by gradients."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.checks import check_number, check_whole
from jinit.calibrate.layers import values_by_layer
from jinit.calibrate.method import BaseInitializer, Findings, Method, apply_or_keep
from jinit.calibrate.patch_balance import balance_layers
from jinit.calibrate.patch_filters import FILTERS
from jinit.calibrate.patch_walk import FilterOptions, make_filters
from jinit.calibrate.report import Report
from jinit.calibrate.units import UnitSite, read_kernels
from jinit.model import Model, PyTree

_LARGEST_DRIFT = 0.25
"""Deviation of the logarithm of the output's standard deviation above which it is named."""

_LARGEST_NUMBER = float(np.finfo(np.float32).max)


def patches(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    init: BaseInitializer = "he_normal",
    filters: str = "normal",
    beta: float = 0.1,
    balance: bool = True,
    rounds: int = 10,
    samples: int = 10_000,
) -> Any:
    r"""Make kernels from the inputs of their layers, then balance the gradients of all layers.

    In order of execution, every layer gets new kernels that are made from its inputs: patches for a
    convolution, features for a dense layer. `filters` says how:

    - `normal`: independent standard normal entries;
    - `pca`: principal directions, the largest variance first;
    - `zca`: random rows of the inverse root of the covariance;
    - `kmeans`: centers of clusters of whitened inputs of length 1;
    - `patches`: random inputs, centered.

    Every unit is then divided by its standard deviation \sigma, and gets the bias
    -\mu / \sigma + beta. Later layers see these outputs. If a layer has fewer inputs than units,
    its entries are normal; if there are more units than directions, the others are whitened normal
    ones.

    With `balance`, a random normal gradient of the outputs is propagated back. With the ratio
    r = \sqrt{mean(dW^2) / mean(W^2)} of a kernel, and the geometric mean of all ratios times the
    variance of the outputs to the power 1 / number of layers as the target, kernels are multiplied
    by \sqrt{r / target}, and biases by the change of the units they shift. A network that is
    positively homogeneous changes by a factor only, with which its outputs have unit variance. For
    another one `Report.skipped` says if their standard deviation is not 1 within e^{0.25}.

    Args:
      model: the traced network; None to get a value of the axis `init` of a sweep.
      params: its parameters.
      data: an array of inputs, a batch `(inputs, ...)`, or an iterable of batches.
      key: key of everything that is drawn.
      init: initializer of parameters that the method does not set, in a sweep.
      filters: how kernels are made.
      beta: mean of every unit, where there is a bias.
      balance: whether to balance layers.
      rounds: most times that layers are scaled to balance them.
      samples: most inputs of a layer that its kernel is made from; they are chosen at random.

    Returns:
      The parameters and a Report; without a model, the method with its options.

    Raises:
      ValueError: if an option cannot work, or the data does not fit the model.

    References:
      Krahenbuhl, Doersch, Donahue and Darrell, "Data-dependent initializations of convolutional
      neural networks", 2016, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> apply = lambda w, x: jax.nn.relu(x @ w[0]) @ w[1]
    >>> w, x = [jnp.ones((4, 8)), jnp.ones((8, 3))], jax.random.normal(jax.random.key(0), (64, 4))
    >>> found, report = patches(jinit.trace(apply, w, x), w, x, filters="pca")
    >>> ratios = report.statistics["gradient ratio after"]
    >>> bool(abs(ratios[0] / ratios[1] - 1) < 0.02)
    True
    """
    method = Patches(
        init=init, filters=filters, beta=beta, balance=balance, rounds=rounds, samples=samples
    )
    return apply_or_keep(method, model, params, data, key)


@dataclass(frozen=True, kw_only=True, repr=False)
class Patches(Method):
    """The method `patches` with its options."""

    filters: str = "normal"
    beta: float = 0.1
    balance: bool = True
    rounds: int = 10
    samples: int = 10_000

    name: ClassVar[str] = "patches"

    def check(self) -> None:
        """Raise if an option has a value that cannot work."""
        if self.filters not in FILTERS:
            known = ", ".join(FILTERS)
            raise ValueError(f"{self.name}: filters={self.filters!r}, expected one of {known}")
        if not isinstance(self.balance, bool):
            raise ValueError(f"{self.name}: balance={self.balance!r}, expected True or False")
        check_number(self.name, "beta", self.beta, low=-_LARGEST_NUMBER)
        check_whole(self.name, "rounds", self.rounds)
        check_whole(self.name, "samples", self.samples)

    def find(
        self, model: Model, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return the parameters with new kernels, and the ratios of gradients to kernels."""
        filter_key, top_key = jax.random.split(key)
        sites = [site for site in read_kernels(model) if not _reason(site)]
        options = FilterOptions(self.filters, self.beta, self.samples)
        found, dead, is_normal = make_filters(model, params, batches, filter_key, sites, options)
        statistics = {
            "dead units": values_by_layer(model, dead),
            "normal for want of inputs": values_by_layer(model, is_normal),
        }
        if not self.balance or not sites:
            return found, Findings(statistics, {}, 1.0)
        found, before, after, rounds = balance_layers(
            model, found, batches, top_key, sites, self.rounds
        )
        statistics |= {
            "gradient ratio before": values_by_layer(model, before.ratios),
            "gradient ratio after": values_by_layer(model, after.ratios),
        }
        history = {"output std": jnp.stack([before.output_std, after.output_std])}
        return found, Findings(statistics, history, 4.0 + 4.0 * rounds)

    def report(self, model: Model, findings: Findings, seconds: float) -> Report:
        """Return the report, in which layers that have no kernel from their inputs are named."""
        statistics: dict[str, Any] = dict(findings.layers)
        is_normal = statistics.pop("normal for want of inputs")
        sites = read_kernels(model)
        skipped = {}
        for row, (name, (number, _)) in enumerate(
            zip(model.layer_names, model.layers, strict=True)
        ):
            dead = statistics["dead units"][row]
            reasons = _row_reasons(sites[number], dead > 0, is_normal[row] > 0)
            if reasons:
                skipped[name] = "; ".join(reasons)
        history = {name: np.asarray(each) for name, each in findings.history.items()}
        after = history.get("output std", np.ones(1))[-1]
        if not abs(np.log(after)) <= _LARGEST_DRIFT:
            skipped["outputs"] = (
                f"their standard deviation is {after:.3g} after layers were balanced, and not 1: "
                "the network is not homogeneous; use balance=False"
            )
        return Report(
            repr(self),
            model.layer_names,
            statistics,
            skipped,
            history,
            passes=float(findings.passes),
            seconds=seconds,
        )


def _reason(site: UnitSite) -> str:
    """Return why the kernel of a layer cannot be made from its inputs; empty if it can."""
    return site.reason or ("its kernel is normalized" if site.is_normalized else "")


def _row_reasons(site: UnitSite, has_dead: bool, is_normal: bool) -> list[str]:
    if _reason(site):
        return [_reason(site)]
    reasons = [site.offset_reason] if site.offset_reason else []
    if is_normal:
        reasons.append("it has fewer inputs than units, so that its kernel is normal")
    if has_dead:
        reasons.append("some units have no variance, and keep their scale")
    return reasons
