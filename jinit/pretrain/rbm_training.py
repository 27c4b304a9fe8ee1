"""Training of restricted Boltzmann machines by contrastive divergence."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate import CheckpointFile, LoopBody, ShowProgress
from jinit.calibrate.checks import check_number, check_whole
from jinit.choice import check_choice
from jinit.pretrain.boltzmann_machine import Rbm, VisibleKind
from jinit.pretrain.checks import check_fraction, check_option_names, read_examples
from jinit.pretrain.contrastive_divergence import ChainNoise, Reconstructions, contrast
from jinit.pretrain.epochs import count_batches, epoch_step
from jinit.pretrain.fit_layer import fit_layer
from jinit.pretrain.rbm_likelihood import (
    estimate_log_partition,
    estimate_mean_log_likelihood,
    estimate_pseudo_log_likelihood,
)
from jinit.pretrain.trainer import Trainer

_NUMBERS = "reconstruction error", "pseudo-log-likelihood"
_AIS_NUMBERS = "log-likelihood", "log-likelihood standard error"
_SPARSITY_DECAY = 0.9
"""Decay per batch of the running mean of the hidden units (Hinton 2012, section 11)."""
_SMALLEST_MEAN = 0.01
"""Smallest distance from 0 and 1 of a mean whose logit is the first bias of a visible unit."""


def train_rbm(
    data: Any,
    hidden: int,
    key: Array,
    *,
    visible: VisibleKind = "bernoulli",
    progress: ShowProgress | None = None,
    checkpoint: CheckpointFile | None = None,
    **options: Any,
) -> tuple[Rbm, dict[str, Array]]:
    """Train a restricted Boltzmann machine by contrastive divergence.

    It can be vmapped over keys. With `persistent=True`,
    `reconstructions="samples"` and `momentum=0` the updates are those of scikit-learn's
    BernoulliRBM; here each epoch has another order of the examples, and the visible biases start
    at the logits of the means of the data.

    Args:
      data: examples, of shape [examples, visible]: in [0, 1] for binary visible units,
        standardized for Gaussian ones.
      hidden: number of hidden units.
      key: key of everything that is drawn.
      visible: distribution of the visible units.
      progress: called with a MethodProgress every second or so.
      checkpoint: file of unfinished work, from which an equal call goes on.
      **options: options of `RbmTrainer`, such as `epochs`, `learning_rate`, `momentum`, `steps`,
        `persistent` and `sparsity`.

    Returns:
      The machine, and numbers by name with one per epoch, over at most 1000 examples: the mean
      squared "reconstruction error" per visible unit, and the "pseudo-log-likelihood" per example,
      which is NaN for Gaussian units. With `ais_every=k`, also the mean "log-likelihood" per
      example by annealed importance sampling, and its "log-likelihood standard error", in every
      k-th epoch and the last one, and NaN in the others.

    Raises:
      TypeError: if there is no such option.
      ValueError: if an option cannot work, or the data is not a finite matrix with values in the
        interval.

    References:
      Hinton, "A practical guide to training restricted Boltzmann machines", 2012. Salakhutdinov
      and Murray, "On the quantitative analysis of deep belief networks", 2008.

    >>> data = jax.random.bernoulli(jax.random.key(0), 0.9, (100, 6)).astype(float)
    >>> rbm, history = train_rbm(data, 4, jax.random.key(1), epochs=3)
    >>> rbm.weights.shape, history["reconstruction error"].shape
    ((6, 4), (3,))
    """
    check_choice("visible", visible, get_args(VisibleKind))
    check_whole("train_rbm", "hidden", hidden)
    check_option_names("train_rbm", options, RbmTrainer.__dataclass_fields__)
    trainer = RbmTrainer(visible=visible, **options)
    examples = read_examples("train_rbm", data, is_unit=visible == "bernoulli")
    return fit_layer("train_rbm", trainer, hidden, examples, key, progress, checkpoint)


class _State(NamedTuple):
    """State of the training between two batches."""

    network: Rbm
    velocity: Rbm
    chain: Array
    means: Array
    """Running means of the hidden units."""
    batches: Array
    """Number of batches so far."""


@dataclass(frozen=True, kw_only=True, repr=False)
class RbmTrainer(Trainer):
    """Contrastive divergence as a way to train one layer.

    >>> RbmTrainer(steps=2), RbmTrainer() == RbmTrainer(epochs=20)
    (RbmTrainer(steps=2), True)
    """

    visible: Literal["auto", "bernoulli", "gaussian"] = "auto"
    """Distribution of the visible units; `auto` is `bernoulli` if all inputs lie in [0, 1], and
    `gaussian` if not."""
    learning_rate: float | None = None
    """Factor of the gradient; None for 0.1 with binary and 0.01 with Gaussian visible units."""
    momentum: float = 0.5
    """Factor of the last update that is added to the next one."""
    weight_decay: float = 0.0
    """Factor of the weights that is subtracted from their gradient."""
    sparsity: float | None = None
    """Mean that every hidden unit should have; None for none."""
    sparsity_cost: float = 0.01
    """Factor of the difference to that mean in the gradient."""
    steps: int = 1
    """Number k of steps of Gibbs sampling."""
    persistent: bool = False
    """Whether the chains of one batch go on in the next one, and start at zeros."""
    reconstructions: Reconstructions = "means"
    """Whether visible units at the ends of chains are drawn (`samples`), or their `means`."""
    std: float = 0.01
    """Standard deviation of the first weights."""
    ais_every: int | None = None
    """Number of epochs from one estimate of the log-likelihood by annealed importance sampling to
    the next, counted back from the last epoch; None for no estimates."""
    ais_chains: int = 100
    """Number of chains of such an estimate."""
    ais_temperatures: int = 1000
    """Number of temperatures of such an estimate, whose cost is about that of 3 × ais_chains ×
    ais_temperatures products of one example with the weights."""

    name: ClassVar[str] = "rbm"

    def __post_init__(self) -> None:
        name = self.name
        check_choice("visible", self.visible, ("auto", *get_args(VisibleKind)))
        check_choice("reconstructions", self.reconstructions, get_args(Reconstructions))
        for option in ("epochs", "batch_size", "steps"):
            check_whole(name, option, getattr(self, option))
        if self.ais_every is not None:
            check_whole(name, "ais_every", self.ais_every)
        for option in ("ais_chains", "ais_temperatures"):
            check_whole(name, option, getattr(self, option), 2)
        check_number(name, "std", self.std, is_low_allowed=True)
        check_number(name, "weight_decay", self.weight_decay, is_low_allowed=True)
        check_number(name, "sparsity_cost", self.sparsity_cost, is_low_allowed=True)
        check_fraction(name, "momentum", self.momentum)
        if self.learning_rate is not None:
            check_number(name, "learning_rate", self.learning_rate)
        if self.sparsity is not None:
            check_fraction(name, "sparsity", self.sparsity)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numbers of an epoch; progress shows the first one."""
        return _NUMBERS if self.ais_every is None else (*_NUMBERS, *_AIS_NUMBERS)

    @property
    def is_unit(self) -> bool | None:
        """Whether inputs must lie in [0, 1]; None if this depends on the inputs."""
        return None if self.visible == "auto" else self.visible == "bernoulli"

    def for_inputs(self, is_unit: bool) -> Self:
        """Return the trainer with the visible units for inputs in [0, 1], or for any others.

        Args:
          is_unit: whether they lie in [0, 1].
        """
        return replace(self, visible="bernoulli" if is_unit else "gaussian")

    @property
    def products_per_epoch(self) -> float:
        """Number of products with the weights in an epoch: 1 up, 2 k in chains, 2 of gradients."""
        return 3 + 2 * self.steps

    def body(self, hidden: int, data: Array, key: Array) -> LoopBody:
        """Return the first machine and the state of its training, and the step of an epoch.

        Args:
          hidden: number of hidden units.
          data: examples, of shape [examples, visible].
          key: key of everything that is drawn.
        """
        init_key, key = jax.random.split(key)
        kind = "gaussian" if self.visible == "gaussian" else "bernoulli"
        weights = self.std * jax.random.normal(init_key, (data.shape[1], hidden), data.dtype)
        bias = _first_bias(data, kind)
        rbm = Rbm(weights, bias, jnp.zeros(hidden, data.dtype), kind)
        size = count_batches(len(data), self.batch_size)[1]
        chain = jnp.zeros((size, hidden), data.dtype)
        target = jnp.full(hidden, self.sparsity or 0.0, data.dtype)

        def measure(state: _State, examples: Array, key: Array) -> dict[str, Array]:
            numbers = _measure(state, examples, key)
            if self.ais_every is None:
                return numbers
            return numbers | self._measure_likelihood(state, examples, key, len(data), bias)

        step = epoch_step(
            lambda each: ChainNoise.draw(rbm, size, self.steps, each),
            self._step,
            measure,
            data,
            key,
            epochs=self.epochs,
            batch_size=self.batch_size,
        )
        velocity = jax.tree.map(jnp.zeros_like, rbm)
        return LoopBody(_State(rbm, velocity, chain, target, jnp.zeros((), int)), step)

    def _step(self, state: _State, batch: Array, noise: ChainNoise) -> _State:
        rbm, means = state.network, state.means
        hidden = state.chain if self.persistent else None
        estimate = contrast(rbm, batch, noise, hidden, self.reconstructions)
        gradient = estimate.gradient
        if self.weight_decay:
            decayed = gradient.weights - self.weight_decay * rbm.weights
            gradient = replace(gradient, weights=decayed)
        if self.sparsity is not None:
            batch_means = estimate.positive.mean(0)
            means = _SPARSITY_DECAY * means + (1 - _SPARSITY_DECAY) * batch_means
            gradient = self._add_sparsity(gradient, batch, means)
        rate = self.learning_rate or (0.01 if rbm.is_gaussian else 0.1)
        velocity = jax.tree.map(lambda each: rate * each, gradient)
        if self.momentum:
            velocity = jax.tree.map(
                lambda old, new: self.momentum * old + new, state.velocity, velocity
            )
        rbm = jax.tree.map(jnp.add, rbm, velocity)
        return _State(rbm, velocity, estimate.hidden, means, state.batches + 1)

    def _add_sparsity(self, gradient: Rbm, batch: Array, means: Array) -> Rbm:
        """Return the gradient minus that of the cross-entropy of the mean units and the target."""
        pull = self.sparsity_cost * (means - (self.sparsity or 0.0))
        weights = gradient.weights - batch.mean(0)[:, None] * pull[None]
        return replace(gradient, weights=weights, hidden_bias=gradient.hidden_bias - pull)

    def _measure_likelihood(
        self, state: _State, examples: Array, key: Array, total: int, bias: Array
    ) -> dict[str, Array]:
        """Return the log-likelihood and its error, or NaN in an epoch without an estimate."""
        rbm, ais_key = state.network, jax.random.fold_in(key, 1)

        def estimate() -> tuple[Array, Array]:
            log_z = estimate_log_partition(
                rbm,
                ais_key,
                base_bias=bias,
                chains=self.ais_chains,
                temperatures=self.ais_temperatures,
            )
            return estimate_mean_log_likelihood(rbm, examples, log_z, total)

        def skip() -> tuple[Array, Array]:
            nan = jnp.full((), jnp.nan, examples.dtype)
            return nan, nan

        epoch = state.batches // count_batches(total, self.batch_size)[0]
        is_measured = (self.epochs - epoch) % (self.ais_every or 1) == 0
        value, error = jax.lax.cond(is_measured, estimate, skip)
        return dict(zip(_AIS_NUMBERS, (value, error), strict=True))


def _first_bias(data: Array, kind: VisibleKind) -> Array:
    """Return the visible bias with which a machine without weights has the means of the data."""
    means = data.mean(0)
    if kind == "gaussian":
        return means
    means = jnp.clip(means, _SMALLEST_MEAN, 1 - _SMALLEST_MEAN)
    return jnp.log(means) - jnp.log1p(-means)


def _measure(state: _State, examples: Array, key: Array) -> dict[str, Array]:
    rbm = state.network
    likelihood = jnp.full((), jnp.nan, examples.dtype)
    if not rbm.is_gaussian:
        likelihood = estimate_pseudo_log_likelihood(rbm, examples, key).mean()
    error = ((examples - rbm.reconstruct(examples)) ** 2).mean()
    return dict(zip(_NUMBERS, (error, likelihood), strict=True))
