"""ActNorm: every unit of a network normalized on data by its scale and bias."""

from dataclasses import dataclass
from typing import Any, ClassVar

from jax import Array

from jinit.calibrate.method import BaseInitializer, apply_or_keep
from jinit.calibrate.unit_method import UnitMethod
from jinit.calibrate.units import UnitSite
from jinit.model import Model, PyTree


def actnorm(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    init: BaseInitializer = "orthogonal",
    scale: float = 1.0,
) -> Any:
    r"""Scale and shift every unit so that it has mean 0 and unit variance on data (ActNorm).

    In order of execution, and before its activation function, unit i of a layer y = W x + b gets
    s y_i / \sigma_i in place of y_i, and a bias with which its mean is 0. The mean and the standard
    deviation are taken over all examples and positions. Later layers see the normalized outputs.

    Where a scale and a bias of their own follow a layer, or stand alone as in y = (x + b) s, these
    are set; otherwise the units of the kernel and the bias of the layer are. The scales of
    normalizations are not changed. Units without variance keep their scale, layers without a bias
    keep their means, and parameters that are applied in several places, or in every step of a
    recurrence, are left as they were: `Report.skipped` names them. Each member of an ensemble and
    each iteration of a loop over stacked kernels is normalized on its own. BatchNorm uses the
    statistics of the batch.

    The report has, for each layer, the largest absolute mean of its units, and the largest
    deviation of their standard deviation from `scale`, in units of `scale`.

    Args:
      model: the traced network; None to get a value of the axis `init` of a sweep.
      params: its parameters.
      data: an array of inputs, a batch `(inputs, ...)`, or an iterable of batches, over which the
        statistics are pooled.
      key: not used: nothing is drawn.
      init: initializer of the kernels in a sweep.
      scale: standard deviation of every unit.

    Returns:
      The parameters and a Report; without a model, the method with its options.

    Raises:
      ValueError: if an option cannot work, or the data does not fit the model.

    References:
      Kingma and Dhariwal, "Glow: generative flow with invertible 1x1 convolutions", 2018, section
      3.1.

    >>> import jax, jinit, jax.numpy as jnp
    >>> apply = lambda p, x: x @ p["w"] + p["b"]
    >>> params = {"w": jax.random.normal(jax.random.key(0), (4, 3)), "b": jnp.ones((1, 3))}
    >>> x = jax.random.uniform(jax.random.key(1), (64, 4))
    >>> found, report = actnorm(jinit.trace(apply, params, x), params, x)
    >>> y = apply(found, x)
    >>> bool(jnp.allclose(y.mean(0), 0, atol=1e-5)), bool(jnp.allclose(y.std(0), 1, atol=1e-5))
    (True, True)
    """
    method = ActNorm(init=init, scale=scale)
    return apply_or_keep(method, model, params, data, key)


@dataclass(frozen=True, kw_only=True, repr=False)
class ActNorm(UnitMethod):
    """The method `actnorm` with its options."""

    init: BaseInitializer = "orthogonal"

    name: ClassVar[str] = "actnorm"

    def reason(self, site: UnitSite) -> str:
        """Return why a layer cannot be normalized; empty if it can."""
        return site.reason
