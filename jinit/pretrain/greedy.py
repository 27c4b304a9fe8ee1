"""Greedy pre-training of a network: its layers trained one after the other, without targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.calibrate import DataBatches, Findings, Method, Report, apply_or_keep
from jinit.calibrate.checks import check_whole
from jinit.calibrate.layers import LayerSite, read_sites
from jinit.calibrate.method import BaseInitializer
from jinit.model import Model, PyTree, activation_names, closest_paths, compile_glob
from jinit.pretrain.eligible_layers import other_parameters, reason_to_skip
from jinit.pretrain.layer_inputs import PlainLayer, lies_in_unit_interval
from jinit.pretrain.one_layer_autoencoder import HIDDEN_ACTIVATIONS, HiddenActivation
from jinit.pretrain.rbm_training import RbmTrainer
from jinit.pretrain.trainer import TrainedLayer, Trainer

TrainerLike = Trainer | Mapping[str, Trainer]
"""A trainer of all layers, or trainers by globs of the paths of kernels."""
_SMALLEST_STD = 1e-6
"""Standard deviation below which an input counts as constant, and is not scaled."""


def greedy(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    trainers: TrainerLike | None = None,
    layers: Sequence[str] | None = None,
    rows: int = 50_000,
    init: BaseInitializer = "he_normal",
) -> Any:
    r"""Train the dense and convolutional layers of a network one after the other, without targets.

    In order of execution, each layer is trained as an RBM or an autoencoder on its inputs over all
    examples, as the trained layers below it make them; its weights and hidden biases become the
    kernel and the bias of the network. Patches are the inputs of a convolution. The network's own
    activations lie between the layers, so that the method suits sigmoids best.

    Inputs x that do not all lie in [0, 1] are standardized, and the layer gets the kernel W / s
    and the bias c - W^T (m / s), where m and s are the means and the standard deviations of x:
    the network computes what the layer computes of (x - m) / s.

    The layers that compute the outputs, such as logits, keep their parameters by default. The
    network is then trained as a whole, with targets.

    Args:
      model: the traced network; None to get a value of the axis `init` of a sweep.
      params: its parameters.
      data: an array of inputs, a batch `(inputs, ...)`, or an iterable of batches.
      key: key of everything that is drawn.
      trainers: a trainer of all layers, or a mapping from globs of kernel paths to trainers, of
        which the first match counts; None for `RbmTrainer()`.
      layers: globs of the paths of the kernels to train; None for all but those that compute the
        outputs.
      rows: largest number of inputs or patches on which a layer is trained, chosen at random.
      init: initializer of the kernels in a sweep.

    Returns:
      The parameters and a Report, which names the layers that were left as they were, and why;
      without a model, the method with its options.

    Raises:
      TypeError: if a trainer is not a Trainer.
      ValueError: if an option cannot work, a glob matches no layer, or the data does not fit the
        model.

    References:
      Hinton, Osindero and Teh, "A fast learning algorithm for deep belief nets", 2006. Bengio et
      al., "Greedy layer-wise training of deep networks", 2007.

    >>> from jinit.model import trace
    >>> apply = lambda p, x: jax.nn.sigmoid(x @ p["w"] + p["b"]) @ p["v"]
    >>> params = {"w": jnp.ones((4, 8)), "b": jnp.zeros((1, 8)), "v": jnp.ones((8, 3))}
    >>> model = trace(apply, params, jnp.ones((64, 4)))
    >>> x = jax.random.uniform(jax.random.key(0), (64, 4))
    >>> found, report = greedy(model, params, x)
    >>> report.skipped, bool((found["v"] == params["v"]).all())
    ({'v': 'it computes the outputs; name it in layers to train it'}, True)
    """
    method = Greedy(
        trainers=_read_trainers(trainers),
        layers=None if layers is None else tuple(layers),
        rows=rows,
        init=init,
    )
    return apply_or_keep(method, model, params, data, key)


@dataclass(frozen=True, kw_only=True, repr=False)
class Greedy(Method):
    """The method `greedy` with its options."""

    trainers: tuple[tuple[str, Trainer], ...] = (("**", RbmTrainer()),)
    layers: tuple[str, ...] | None = None
    rows: int = 50_000

    name: ClassVar[str] = "greedy"
    batch_examples: ClassVar[int | None] = None

    def __repr__(self) -> str:
        """Return the method as its shorter form, `rbm` or `autoencoder`, where that is the same."""
        glob, trainer = self.trainers[0]
        if len(self.trainers) > 1 or glob != "**":
            return super().__repr__()
        others = replace(self, trainers=type(self)().trainers)
        parts = [
            repr(trainer).partition("(")[2][:-1],
            Method.__repr__(others).partition("(")[2][:-1],
        ]
        return f"{trainer.name}({', '.join(filter(None, parts))})"

    def check(self) -> None:
        """Raise if an option has a value that cannot work."""
        check_whole(self.name, "rows", self.rows)
        for glob, trainer in self.trainers:
            compile_glob(glob)
            if not isinstance(trainer, Trainer):
                raise TypeError(
                    f"{self.name}: the trainer of {glob!r} is {trainer!r}, expected a Trainer such "
                    "as RbmTrainer(epochs=20) or AutoencoderTrainer()"
                )

    def find(
        self, model: Model, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return the parameters of the trained layers, and the history of each."""
        self._check_globs(model)
        history: dict[str, Array] = {}
        last: dict[int, dict[str, Array]] = {}
        passes = 0.0
        for number, site in enumerate(read_sites(model)):
            trainer = self._trainer(model, number, site)
            if isinstance(trainer, str):
                continue
            row_key, train_key = jax.random.split(jax.random.fold_in(key, number))
            layer = PlainLayer(model, site)
            inputs = layer.inputs(params, batches, row_key, self.rows)
            trained = _train_layer(trainer, model, layer, inputs, train_key)
            params = layer.write(params, trained.weights, trained.bias)
            history |= {f"{site.path} {name}": each for name, each in trained.history.items()}
            last[number] = {name: each[-1] for name, each in trained.history.items()}
            passes += 1 + _training_passes(model, number, trainer, len(inputs), batches)
        names = dict.fromkeys(name for each in last.values() for name in each)
        nan = jnp.full((), jnp.nan)
        numbers = [layer.contraction for layer in model.layers]
        statistics = {
            name: jnp.stack([last.get(number, {}).get(name, nan) for number in numbers])
            for name in names
        }
        return params, Findings(statistics, history, passes)

    def report(self, model: Model, findings: Findings, seconds: float) -> Report:
        """Return the report, in which layers that were not trained are named."""
        reasons = [
            self._trainer(model, number, site) for number, site in enumerate(read_sites(model))
        ]
        skipped = {
            name: reason
            for name, layer in zip(model.layer_names, model.layers, strict=True)
            if isinstance(reason := reasons[layer.contraction], str)
        }
        return Report(
            repr(self),
            model.layer_names,
            {name: np.asarray(each) for name, each in findings.layers.items()},
            skipped | other_parameters(model),
            {name: np.asarray(each) for name, each in findings.history.items()},
            passes=float(findings.passes),
            seconds=seconds,
        )

    def _check_globs(self, model: Model) -> None:
        """Raise if a glob matches no layer of a network."""
        paths = tuple(dict.fromkeys(site.path for site in read_sites(model)))
        for glob in (*(self.layers or ()), *(glob for glob, _ in self.trainers)):
            if not any(compile_glob(glob).fullmatch(path) for path in paths):
                near = ", ".join(closest_paths(glob, paths)) or "none: the network has no layers"
                raise ValueError(
                    f"{self.name}: {glob!r} matches the kernel of no layer; the closest paths are "
                    f"{near}; Model.layer_names lists all of them"
                )

    def _trainer(self, model: Model, number: int, site: LayerSite) -> Trainer | str:
        """Return the trainer of a layer, or why it is not trained."""
        if self.layers is None:
            outputs = {model.layers[each].contraction for each in model.feeds.outputs.layers}
            if number in outputs:
                return "it computes the outputs; name it in layers to train it"
        elif not any(compile_glob(glob).fullmatch(site.path) for glob in self.layers):
            return "it is not among the chosen layers"
        matches = [
            trainer for glob, trainer in self.trainers if compile_glob(glob).fullmatch(site.path)
        ]
        if not matches:
            return "no trainer is given for it"
        return reason_to_skip(model, site) or matches[0]


def _read_trainers(trainers: TrainerLike | None) -> tuple[tuple[str, Trainer], ...]:
    if trainers is None:
        return (("**", RbmTrainer()),)
    return tuple(trainers.items()) if isinstance(trainers, Mapping) else (("**", trainers),)


def _train_layer(
    trainer: Trainer, model: Model, layer: PlainLayer, inputs: Array, key: Array
) -> TrainedLayer:
    """Train one layer on its inputs, which are standardized unless they lie in [0, 1]."""
    trainer = trainer.for_activation(_read_activation(model, layer))

    def train_unit() -> TrainedLayer:
        return trainer.for_inputs(True).train(inputs, layer.units, key)

    def train_real() -> TrainedLayer:
        return _train_standardized(trainer.for_inputs(False), inputs, layer.units, key)

    is_unit = trainer.is_unit
    if is_unit is None and lies_in_unit_interval(model, layer.site):
        is_unit = True
    if is_unit is not None:
        return train_unit() if is_unit else train_real()
    return jax.lax.cond((inputs.min() >= 0) & (inputs.max() <= 1), train_unit, train_real)


def _train_standardized(trainer: Trainer, inputs: Array, units: int, key: Array) -> TrainedLayer:
    mean, std = inputs.mean(0), inputs.std(0)
    std = jnp.where(std > _SMALLEST_STD, std, 1)
    trained = trainer.train((inputs - mean[None]) / std[None], units, key)
    weights = trained.weights / std[:, None]
    return TrainedLayer(weights, trained.bias - mean @ weights, trained.history)


def _training_passes(
    model: Model, number: int, trainer: Trainer, rows: int, batches: DataBatches
) -> float:
    """Return the cost of the training of a layer, in forward passes of the network.

    Only products are counted.
    """
    costs = [
        float(np.prod((*each.shape, *each.loop_lengths))) * each.fan_in
        for each in model.contractions
    ]
    contraction = model.contractions[number]
    row_cost = float(contraction.fan_in * contraction.width)
    trained = trainer.epochs * trainer.products_per_epoch * rows * row_cost
    return trained / (sum(costs) * batches.length)


def _read_activation(model: Model, layer: PlainLayer) -> HiddenActivation | None:
    """Return the function after a layer, by its name if it has one; None if not elementwise."""
    activation = model.leaf(layer.site.path).activation
    if activation is None or activation.argument_count > 1 or activation.has_normalization:
        return None
    return _activation_names().get(activation.text, activation)


@lru_cache(maxsize=1)
def _activation_names() -> dict[str, str]:
    return activation_names(HIDDEN_ACTIVATIONS)
