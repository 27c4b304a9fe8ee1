"""Initialization of weight-normalized layers by data."""

from dataclasses import dataclass
from typing import Any, ClassVar

from jax import Array

from jinit.calibrate.method import BaseInitializer, apply_or_keep
from jinit.calibrate.unit_method import UnitMethod
from jinit.calibrate.units import UnitSite
from jinit.model import Model, PyTree


def weight_norm(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    init: BaseInitializer = "he_normal",
    scale: float = 1.0,
) -> Any:
    r"""Set the scales and biases of weight-normalized layers by data.

    In order of execution, and before its activation function, every unit of a layer
    y = g (v / \|v\|) x + b gets the scale g \to g s / \sigma and the bias b \to -\mu s / \sigma.
    Here \mu and \sigma are mean and standard deviation of the unit without its bias, over all
    examples and positions. It then has mean 0 and standard deviation s on the data. Later layers
    see the normalized outputs. The directions v are not changed. Layers that are not
    weight-normalized are left as they were, and `Report.skipped` names them; `actnorm` normalizes
    these too.

    The report has, for each layer, the largest absolute mean of its units, and the largest
    deviation of their standard deviation from `scale`, in units of `scale`.

    Args:
      model: the traced network; None to get a value of the axis `init` of a sweep.
      params: its parameters.
      data: an array of inputs, a batch `(inputs, ...)`, or an iterable of batches, over which the
        statistics are pooled.
      key: not used: nothing is drawn.
      init: initializer of the kernels v in a sweep; only their directions count.
      scale: standard deviation of every unit.

    Returns:
      The parameters and a Report; without a model, the method with its options.

    Raises:
      ValueError: if an option cannot work, or the data does not fit the model.

    References:
      Salimans and Kingma, "Weight normalization: a simple reparameterization to accelerate training
      of deep neural networks", 2016, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> apply = lambda p, x: (
    ...     x @ (p["g"] * p["v"] / jnp.sqrt((p["v"] ** 2).sum(0, keepdims=True))) + p["b"]
    ... )
    >>> v = jax.random.normal(jax.random.key(0), (4, 3))
    >>> params = {"v": v, "g": jnp.ones((1, 3)), "b": jnp.zeros((1, 3))}
    >>> x = jax.random.uniform(jax.random.key(1), (64, 4))
    >>> found, report = weight_norm(jinit.trace(apply, params, x), params, x)
    >>> y = apply(found, x)
    >>> bool(jnp.allclose(y.mean(0), 0, atol=1e-5)), bool(jnp.allclose(y.std(0), 1, atol=1e-5))
    (True, True)
    """
    method = WeightNorm(init=init, scale=scale)
    return apply_or_keep(method, model, params, data, key)


@dataclass(frozen=True, kw_only=True, repr=False)
class WeightNorm(UnitMethod):
    """The method `weight_norm` with its options."""

    name: ClassVar[str] = "weight_norm"

    def reason(self, site: UnitSite) -> str:
        """Return why a layer is left alone; empty if it is weight-normalized and can be set."""
        return site.reason or ("" if site.is_normalized else "it is not weight-normalized")
