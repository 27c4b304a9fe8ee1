"""GradInit: a factor for each parameter with which the first step of an optimizer gains most."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.checkpoint import CheckpointFile
from jinit.calibrate.checks import check_number, check_whole
from jinit.calibrate.long_method import SearchMethod
from jinit.calibrate.loop import LoopBody, LoopEnd
from jinit.calibrate.losses import TargetLoss, batch_loss, check_target_loss
from jinit.calibrate.method import BaseInitializer, Findings, apply_or_keep
from jinit.calibrate.method_progress import ShowProgress
from jinit.calibrate.report import Report
from jinit.calibrate.trained_tensors import Arrays, TrainedTensors, in_one_row, read_tensors
from jinit.model import Model, PyTree, fast_convolutions

_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.999
"""Decays of the moments of Adam, with which the factors are learned."""
_LARGEST_SLOPE = 1.0
"""Bound of the derivative by a factor."""
_PASSES = 6.0
"""Forward passes of a step: two gradients, or a gradient and a product with the Hessian."""
_FIRST_ORDER_GAIN = 0.1
"""Default of eta * gamma, to first order the largest change of the loss in a step; as in the paper,
where eta = 0.1 and gamma = 1."""


def gradinit(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    init: BaseInitializer = "he_normal",
    loss: TargetLoss | None = None,
    optimizer: Literal["sgd", "adam"] = "sgd",
    eta: float | None = None,
    gamma: float | None = None,
    learning_rate: float = 0.01,
    steps: int = 390,
    min_scale: float = 0.01,
    progress: ShowProgress | None = None,
    checkpoint: CheckpointFile | None = None,
) -> Any:
    r"""Learn a factor for each parameter that minimizes the loss after one step of an optimizer.

    The parameters are p = α p₀ with one factor α per tensor. With the gradient g of a batch, and
    its norm ‖g‖₂ for SGD or ‖g‖₁ for Adam, each step of the search changes all factors to decrease

        ‖g‖                          if ‖g‖ > γ,
        L(α p₀ - η g/‖g‖₂)           if not, for SGD,
        L(α p₀ - η sign g)           if not, for Adam.

    The loss L is that of a second batch, half of which is the first one's, and the step of the
    optimizer counts as a constant. The factors follow Adam, whose first moment is separate for
    the norm and for the loss; each derivative is clipped to [-1, 1]. In a loop over stacked
    kernels, each iteration has its own factors. BatchNorm uses the statistics of the batch.

    Args:
      model: the traced network; None to get a value of the axis `init` of a sweep.
      params: its parameters.
      data: a batch `(inputs, targets)` or an iterable of batches. With one batch, three thirds are
        drawn in each step: two form the first batch, and one of these and the third the second one.
      key: key of these thirds.
      init: initializer of the kernels in a sweep.
      loss: `loss(outputs, *targets)`, a mean over examples; None for cross-entropy if the targets
        are integers, or else the squared distance.
      optimizer: `sgd` or `adam`, with which the network will be trained.
      eta: η, the length of the step; None for 0.1 with SGD and 0.001, its learning rate, with Adam.
      gamma: γ, the largest norm of the gradient; None for 0.1/η, with which a step changes the loss
        by 0.1 or less to first order.
      learning_rate: change of a factor in the first step.
      steps: number of steps; one epoch in the paper.
      min_scale: smallest factor.
      progress: called with the progress every second or so.
      checkpoint: file of unfinished work, from which an equal call goes on.

    Returns:
      The scaled parameters and a Report with the norm and the losses at each step; without a
      model, the method with its options.

    Raises:
      TypeError: if the loss is not a function.
      ValueError: if an option cannot work, or the data does not fit the model.

    References:
      Zhu, Ni, Xu, Kong, Huang and Goldstein, "GradInit: Learning to initialize neural networks for
      stable and efficient training", 2021, section 3 and algorithm 1.

    >>> import jax, jinit, jax.numpy as jnp
    >>> apply = lambda w, x: jnp.tanh(jnp.tanh(x @ w[0]) @ w[1]) @ w[2]
    >>> w = [2 * jax.random.normal(jax.random.key(i), (8, 8)) for i in range(3)]
    >>> x, labels = jax.random.normal(jax.random.key(3), (48, 8)), jnp.arange(48) % 8
    >>> model = jinit.trace(apply, w, x)
    >>> found, report = gradinit(model, w, (x, labels), learning_rate=0.05, steps=50)
    >>> norms = report.history["gradient norm"]
    >>> bool(norms[-1] < norms[0]), report.layers
    (True, ('0', '1', '2'))
    """
    method = GradInit(
        init=init,
        loss=loss,
        optimizer=optimizer,
        eta=eta,
        gamma=gamma,
        learning_rate=learning_rate,
        steps=steps,
        min_scale=min_scale,
    )
    return apply_or_keep(method, model, params, data, key, progress, checkpoint)


class _State(NamedTuple):
    """Factors after some steps, and the moments of their derivatives."""

    factors: Arrays
    first_moments: tuple[Arrays, Arrays]
    """Those of the loss, and those of the norm."""
    second_moments: Arrays
    counts: Array
    """Number of steps of either kind."""


class _Slopes(NamedTuple):
    """Derivatives by the parameters, and the loss after a step of the optimizer."""

    values: Arrays
    loss: Array


@dataclass(frozen=True, kw_only=True, repr=False)
class GradInit(SearchMethod):
    """The method `gradinit` with its options."""

    loss: TargetLoss | None = None
    optimizer: Literal["sgd", "adam"] = "sgd"
    eta: float | None = None
    gamma: float | None = None
    learning_rate: float = 0.01
    steps: int = 390
    min_scale: float = 0.01

    name: ClassVar[str] = "gradinit"
    numbers: ClassVar[tuple[str, ...]] = ("loss", "loss after a step", "gradient norm")
    batch_examples: ClassVar[int | None] = 128
    most_batches: ClassVar[int | None] = None

    def check(self) -> None:
        """Raise if an option has a value that cannot work."""
        check_target_loss(self.name, self.loss)
        if self.optimizer not in ("sgd", "adam"):
            raise ValueError(
                f"{self.name}: optimizer={self.optimizer!r}, expected 'sgd' or 'adam'; take 'adam' "
                "for any other optimizer whose steps do not depend on the size of the gradient"
            )
        for option in ("eta", "gamma"):
            if getattr(self, option) is not None:
                check_number(self.name, option, getattr(self, option))
        check_number(self.name, "learning_rate", self.learning_rate)
        check_whole(self.name, "steps", self.steps)
        check_number(self.name, "min_scale", self.min_scale, is_low_allowed=True)
        if self.min_scale > 1:
            raise ValueError(
                f"{self.name}: min_scale={self.min_scale!r}, expected a number of at most 1, the "
                "factor from which the search begins"
            )

    def body(self, model: Model, params: PyTree, batches: DataBatches, key: Array) -> LoopBody:
        """Return the first state, and a step of the factors."""
        tensors = TrainedTensors(self.name, model, params)
        loss = batch_loss(self.name, model, self.loss)
        batches = jax.tree.map(jnp.asarray, batches)
        sampler = _Sampler.of(self.name, batches)

        def step(state: _State, number: Array) -> tuple[_State, dict[str, Array]]:
            first, second = sampler.draw(number, key)
            values = [a * p for a, p in zip(state.factors, tensors.values, strict=True)]
            value, norm, is_large, slopes = self._differentiate(
                lambda values, batch: loss(tensors.join(values), batch), values, first, second
            )
            history = {"loss": value, "loss after a step": slopes.loss, "gradient norm": norm}
            return self._descend(tensors, state, slopes.values, is_large), history

        ones = [jnp.ones_like(each) for each in tensors.norms(tensors.values)]
        zeros = [jnp.zeros_like(each) for each in ones]
        return LoopBody(
            _State(ones, (zeros, zeros), zeros, jnp.zeros(2, jnp.int32)), fast_convolutions(step)
        )

    def finish(
        self, model: Model, params: PyTree, batches: DataBatches, end: LoopEnd
    ) -> tuple[PyTree, Findings]:
        """Return the scaled parameters, and their factors."""
        (state, history), tensors = end, TrainedTensors(self.name, model, params)
        found = [a * p for a, p in zip(state.factors, tensors.values, strict=True)]
        norms = in_one_row(tensors.norms(tensors.values))
        factors = jnp.where(norms > 0, in_one_row(state.factors), jnp.nan)
        passes = self.steps * _PASSES * _Sampler.of(self.name, batches).share
        return tensors.join(found), Findings({"factor": factors}, history, passes)

    def _differentiate(
        self,
        loss: Callable[[Arrays, DataBatches], Array],
        values: Arrays,
        first: DataBatches,
        second: DataBatches,
    ) -> tuple[Array, Array, Array, _Slopes]:
        """Return the loss, the norm of its gradient, whether it is large, and derivatives."""
        eta = self.eta or (0.1 if self.optimizer == "sgd" else 0.001)
        gamma = self.gamma or _FIRST_ORDER_GAIN / eta
        (value, gradient), push = jax.linearize(
            jax.value_and_grad(lambda values: loss(values, first)), values
        )
        norm, direction = _norm_and_direction(self.optimizer, gradient)
        after = [p - eta * d for p, d in zip(values, direction, strict=True)]

        def of_norm() -> _Slopes:
            return _Slopes(push(direction)[1], jnp.full_like(value, jnp.nan))

        def of_loss() -> _Slopes:
            later, slopes = jax.value_and_grad(loss)(after, second)
            return _Slopes([slope / eta for slope in slopes], later)

        is_large = norm > gamma
        return value, norm, is_large, jax.lax.cond(is_large, of_norm, of_loss)

    def _descend(
        self, tensors: TrainedTensors, state: _State, slopes: Arrays, is_large: Array
    ) -> _State:
        """Return the state after a step of Adam on the factors."""
        by_factor = [
            jnp.where(jnp.isfinite(each), jnp.clip(each, -_LARGEST_SLOPE, _LARGEST_SLOPE), 0)
            for each in tensors.products(slopes, tensors.values)
        ]
        place = is_large.astype(jnp.int32)
        counts = state.counts.at[place].add(1)
        bias, second_bias = 1 - _FIRST_DECAY ** counts[place], 1 - _SECOND_DECAY ** counts.sum()
        factors, moments, squares = [], ([], []), []
        rows = zip(
            by_factor, state.factors, *state.first_moments, state.second_moments, strict=True
        )
        for slope, factor, of_loss, of_norm, square in rows:
            old = jnp.where(is_large, of_norm, of_loss)
            new = _FIRST_DECAY * old + (1 - _FIRST_DECAY) * slope
            square = _SECOND_DECAY * square + (1 - _SECOND_DECAY) * slope**2
            change = (new / bias) / (jnp.sqrt(square / second_bias) + 1e-8)
            factors.append(jnp.maximum(factor - self.learning_rate * change, self.min_scale))
            moments[0].append(jnp.where(is_large, of_loss, new))
            moments[1].append(jnp.where(is_large, new, of_norm))
            squares.append(square)
        return _State(factors, moments, squares, counts)

    def report(self, model: Model, findings: Findings, seconds: float) -> Report:
        """Return the report, in which parameters that are zero are named."""
        names = [name for each in read_tensors(model) for name in each.names]
        factors = np.asarray(findings.layers["factor"])
        reason = "it is zero, so that no factor changes it"
        return Report(
            repr(self),
            tuple(names),
            {"factor": factors},
            {name: reason for name, a in zip(names, factors, strict=True) if np.isnan(a)},
            jax.tree.map(np.asarray, findings.history),
            passes=float(findings.passes),
            seconds=seconds,
        )


def _norm_and_direction(optimizer: str, gradient: Arrays) -> tuple[Array, Arrays]:
    """Return the norm of a gradient, and the step along it, which is also the norm's derivative."""
    if optimizer == "adam":
        norm = jnp.stack([jnp.abs(each).sum() for each in gradient]).sum()
        return norm, [jnp.sign(each) for each in gradient]
    norm = jnp.sqrt(jnp.stack([(each**2).sum() for each in gradient]).sum())
    return norm, [each / jnp.where(norm > 0, norm, 1) for each in gradient]


class _Sampler(NamedTuple):
    """Pairs of batches, half of whose examples are the same."""

    batches: DataBatches
    size: int
    """Number of examples of a batch."""
    share: float
    """Number of examples that are drawn in a step, in units of all examples."""

    @classmethod
    def of(cls, name: str, batches: DataBatches) -> "_Sampler":
        size = jax.tree.leaves(batches.inputs)[0].shape[1]
        if batches.length > 1:
            return cls(batches, size, 1 / batches.length)
        if size < 3:
            examples = f"{size} example{'' if size == 1 else 's'}"
            raise ValueError(
                f"{name}: got one batch of {examples}, expected at least 3, or several batches: "
                "each step needs two batches that overlap by one half"
            )
        return cls(batches, size, 2 * (size // 3) / size)

    def draw(self, number: Array, key: Array) -> tuple[DataBatches, DataBatches]:
        """Return the two batches of a step."""
        first = self.batches.batch(number % self.batches.length)
        if self.batches.length > 1:
            other, half = self.batches.batch((number + 1) % self.batches.length), self.size // 2
            return first, jax.tree.map(
                lambda a, b: jnp.concatenate([a[:half], b[half:]]), first, other
            )
        third = self.size // 3
        order = jax.random.permutation(jax.random.fold_in(key, number), self.size)
        second = jnp.concatenate([order[:third], order[2 * third : 3 * third]])
        return first.batch(order[: 2 * third]), first.batch(second)
