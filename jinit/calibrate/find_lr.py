"""A range test of learning rates, and the ceiling that the curvature of the loss sets."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.checks import check_number, check_whole
from jinit.calibrate.losses import TargetLoss, batch_loss, check_target_loss
from jinit.calibrate.method import Findings, Method
from jinit.calibrate.report import Report
from jinit.calibrate.trained_tensors import Arrays, TrainedTensors
from jinit.model import Model, PyTree, check_model, fast_convolutions, is_faster_alone

_OPTIMIZERS = {"sgd": optax.sgd, "adam": optax.adam}
_GRADIENT_PASSES = 3.0
_PRODUCT_PASSES = 6.0


@dataclass(frozen=True)
class LearningRateReport(Report):
    """The report of a range test of learning rates.

    Its history has the rates, and for each the mean loss of all batches after its last step.
    """

    losses: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    """The loss of the batch before each step, of shape (rates, steps)."""
    initial_loss: float = np.nan
    """Mean loss of all batches before any step."""
    sharpness: float = np.nan
    """Largest eigenvalue λ_max of the Hessian of the mean loss of all batches."""

    @property
    def rates(self) -> np.ndarray:
        """The learning rates, in increasing order."""
        return self.history["learning rate"]

    @property
    def ceiling(self) -> float:
        """2/λ_max, above which gradient descent diverges along that direction.

        It is infinite if λ_max ≤ 0, and it holds for SGD without momentum.
        """
        return 2 / self.sharpness if self.sharpness > 0 else np.inf + 0 * self.sharpness

    @property
    def suggested(self) -> float:
        """The learning rate with the smallest loss after all steps; NaN if no loss is finite."""
        after = self.history["loss"]
        finite = np.isfinite(after)
        return float(
            self.rates[np.argmin(np.where(finite, after, np.inf))] if finite.any() else np.nan
        )

    @property
    def largest_stable(self) -> float:
        """The largest rate up to which no rate increases the loss; NaN if the smallest does."""
        is_worse = ~(self.history["loss"] <= self.initial_loss)
        count = int(np.argmax(is_worse)) if is_worse.any() else len(is_worse)
        return float(self.rates[count - 1]) if count else np.nan

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data: strings, numbers, lists and dictionaries."""
        names = ("initial_loss", "sharpness", "ceiling", "suggested", "largest_stable")
        more = {name: float(getattr(self, name)) for name in names}
        return super().to_dict() | more | {"losses": self.losses.tolist()}

    def _repr_html_(self) -> str:
        """Return the two lines of `str` as HTML, for notebooks."""
        from jinit.report import notebook_page

        return notebook_page(str(self))

    def __str__(self) -> str:
        first = super().__str__().splitlines()[0]
        return (
            f"{first}\nsuggested {self.suggested:.3g}, largest stable {self.largest_stable:.3g}, "
            f"ceiling 2/λ_max {self.ceiling:.3g}"
        )


def find_lr(
    model: Model,
    params: PyTree,
    data: Any,
    key: Array | None = None,
    *,
    loss: TargetLoss | None = None,
    optimizer: str | Callable[[Any], Any] = "sgd",
    low: float = 1e-5,
    high: float = 10.0,
    rates: int = 25,
    steps: int = 50,
    iterations: int = 20,
) -> tuple[PyTree, LearningRateReport]:
    r"""Train briefly with many learning rates, and compute the ceiling 2/λ_max from the curvature.

    All rates, in equal ratios from `low` to `high`, train copies of the network for some steps at
    the same time, on the same batches in the same order. Then the mean loss of all batches is
    compared. Few steps favor small rates less than a long training does; the largest rate that is
    stable is a better guide for long ones.

    The ceiling is that of gradient descent on all batches: along the eigenvector of the largest
    eigenvalue λ_max of the Hessian, each step multiplies the distance from the minimum by
    1 - lr λ_max. The Lanczos iteration finds λ_max from below.

    Args:
      model: the traced network.
      params: its parameters, which are returned unchanged.
      data: a batch `(inputs, targets)` or an iterable of batches, of which each step uses the next
        one.
      key: key of the first vector of the Lanczos iteration; None for `jax.random.key(0)`.
      loss: `loss(outputs, *targets)`, a mean over examples; None for cross-entropy if the targets
        are integers, or else the squared distance.
      optimizer: `sgd`, `adam`, or a function of the learning rate that returns an optimizer of
        optax.
      low: smallest learning rate.
      high: largest learning rate.
      rates: number of learning rates, at least 2.
      steps: number of steps with each rate.
      iterations: largest number of products with the Hessian.

    Returns:
      The parameters as given, and a LearningRateReport with the attributes `suggested`,
      `largest_stable`, `ceiling` and `rates`.

    Raises:
      TypeError: if the model is not a Model, or the loss is not a function.
      ValueError: if an option cannot work, or the data does not fit the model.

    References:
      Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3; LeCun,
      Simard and Pearlmutter, "Automatic learning rate maximization by on-line estimation of the
      Hessian's eigenvectors", 1992.

    >>> import jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: x @ w, jnp.ones((2, 1)), jnp.ones((2, 2)))
    >>> batch = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.zeros((2, 1))
    >>> w, report = find_lr(model, jnp.ones((2, 1)), batch, low=0.01, high=1)
    >>> round(report.ceiling, 3), report.suggested < report.ceiling
    (0.5, True)
    """
    check_model("find_lr", model)
    method = LearningRateSearch(
        loss=loss,
        optimizer=optimizer,
        low=low,
        high=high,
        rates=rates,
        steps=steps,
        iterations=iterations,
    )
    return params, cast(LearningRateReport, method(model, params, data, key)[1])


@dataclass(frozen=True, kw_only=True, repr=False)
class LearningRateSearch(Method):
    """The function `find_lr` with its options; it is not a value of an axis of a sweep."""

    loss: TargetLoss | None = None
    optimizer: str | Callable[[Any], Any] = "sgd"
    low: float = 1e-5
    high: float = 10.0
    rates: int = 25
    steps: int = 50
    iterations: int = 20

    name: ClassVar[str] = "find_lr"

    def check(self) -> None:
        """Raise if an option has a value that cannot work."""
        check_target_loss(self.name, self.loss)
        if not callable(self.optimizer) and str(self.optimizer) not in _OPTIMIZERS:
            raise ValueError(
                f"{self.name}: optimizer={self.optimizer!r}, expected 'sgd', 'adam' or a function "
                "of the learning rate, such as optimizer=optax.adamw"
            )
        check_number(self.name, "low", self.low)
        check_number(self.name, "high", self.high, low=self.low)
        check_whole(self.name, "rates", self.rates, 2)
        check_whole(self.name, "steps", self.steps)
        check_whole(self.name, "iterations", self.iterations)

    def find(
        self, model: Model, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return the parameters as given, and the losses of all learning rates."""
        tensors = TrainedTensors(self.name, model, params)
        of_batch = batch_loss(self.name, model, self.loss)
        batches = jax.tree.map(jnp.asarray, batches)
        rates = jnp.geomspace(self.low, self.high, self.rates)

        def loss(values: Arrays, batch: DataBatches) -> Array:
            return of_batch(tensors.join(values), batch)

        def mean_loss(values: Arrays) -> Array:
            return jax.lax.map(lambda batch: loss(values, batch), batches).mean()

        def train(rate: Array) -> tuple[Array, Array]:
            values, losses = self._train(loss, tensors.values, batches, rate)
            return mean_loss(values), losses

        is_sequential = is_faster_alone(model.graph)
        after, losses = jax.lax.map(train, rates) if is_sequential else jax.vmap(train)(rates)
        size = sum(value.size for value in tensors.values)
        iterations = min(self.iterations, size)
        history = {
            "learning rate": rates,
            "loss": after,
            "losses": losses,
            "initial loss": mean_loss(tensors.values),
            "sharpness": largest_eigenvalue(mean_loss, tensors.values, key, iterations),
        }
        trained = self.rates * (self.steps * _GRADIENT_PASSES / batches.length + 1)
        passes = trained + 1 + iterations * _PRODUCT_PASSES
        return params, Findings({}, history, passes)

    def _train(
        self,
        loss: Callable[[Arrays, DataBatches], Array],
        values: Arrays,
        batches: DataBatches,
        rate: Array,
    ) -> tuple[Arrays, Array]:
        """Return the trained parameters after all steps, and the loss before each step."""
        build = self.optimizer if callable(self.optimizer) else _OPTIMIZERS[self.optimizer]
        optimizer = build(rate)

        def step(state: tuple[Arrays, Any], number: Array) -> tuple[tuple[Arrays, Any], Array]:
            values, memory = state
            batch = batches.batch(number % batches.length)
            before, slopes = jax.value_and_grad(loss)(values, batch)
            updates, memory = optimizer.update(slopes, memory, values)
            values = [value + update for value, update in zip(values, updates, strict=True)]
            return (values, memory), before

        initial = values, optimizer.init(values)
        (values, _), losses = jax.lax.scan(fast_convolutions(step), initial, jnp.arange(self.steps))
        return values, losses

    def report(self, model: Model, findings: Findings, seconds: float) -> LearningRateReport:
        """Return the report of the range test."""
        history: dict[str, Any] = jax.tree.map(np.asarray, findings.history)
        return LearningRateReport(
            repr(self),
            (),
            losses=history.pop("losses"),
            initial_loss=float(history.pop("initial loss")),
            sharpness=float(history.pop("sharpness")),
            history=history,
            passes=float(findings.passes),
            seconds=seconds,
        )


def largest_eigenvalue(
    loss: Callable[[Arrays], Array], values: Arrays, key: Array, iterations: int
) -> Array:
    """Return the largest eigenvalue of the Hessian of a loss, by Lanczos iteration.

    Each new vector is orthogonalized twice against all previous ones. It may be called inside
    transformations of JAX.

    Args:
      loss: the loss as a function of all trained parameters.
      values: the trained parameters.
      key: key of the first vector.
      iterations: number of products with the Hessian, at most the number of parameters.

    >>> a = jnp.array([0.5, 2.0, -3.0])
    >>> key = jax.random.key(0)
    >>> value = largest_eigenvalue(lambda w: 0.5 * (a * w[0] ** 2).sum(), [jnp.ones(3)], key, 3)
    >>> round(float(value), 4)
    2.0
    """
    point, unravel = ravel_pytree(values)
    gradient = jax.grad(lambda flat: loss(unravel(flat)))
    first = jax.random.normal(key, point.shape, point.dtype)
    basis = jnp.zeros((iterations + 1, point.size), point.dtype)
    basis = basis.at[0].set(first / jnp.linalg.norm(first))

    def step(number: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        basis, projected = state
        image = jax.jvp(gradient, (point,), (basis[number],))[1]
        coordinates = basis @ image
        projected = projected.at[number].set(coordinates[:-1])
        rest = image - coordinates @ basis
        rest = rest - (basis @ rest) @ basis
        length = jnp.linalg.norm(rest)
        is_lost = length <= 1e-5 * jnp.linalg.norm(image)
        unit = jnp.where(is_lost, 0, rest / jnp.where(is_lost, 1, length))
        return basis.at[number + 1].set(unit), projected

    zeros = jnp.zeros((iterations, iterations), point.dtype)
    basis, projected = jax.lax.fori_loop(0, iterations, fast_convolutions(step), (basis, zeros))
    # Vectors of zeros follow where the Krylov space ends; they count as very negative eigenvalues.
    used = jnp.linalg.norm(basis[:-1], axis=1) > 0
    floor = -2 * jnp.abs(projected).sum()
    # Each row has the products with the vectors up to its own: a lower triangle.
    symmetric = projected + jnp.tril(projected, -1).T + jnp.diag(jnp.where(used, 0, floor))
    return jnp.linalg.eigvalsh(symmetric)[-1]
