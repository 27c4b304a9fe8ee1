"""Greedy pre-training of a network: its layers trained one after the other, without targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.calibrate import (
    CheckpointFile,
    DataBatches,
    Findings,
    LayerPlace,
    LongMethod,
    LoopRunner,
    Method,
    Report,
    ShowProgress,
    apply_or_keep,
)
from jinit.calibrate.checks import check_whole
from jinit.calibrate.layers import LayerSite, read_sites
from jinit.calibrate.method import BaseInitializer
from jinit.model import Model, PyTree, closest_paths, compile_glob
from jinit.pretrain.eligible_layers import other_parameters, reason_to_skip
from jinit.pretrain.layer_training import observe_layer, train_layer, write_layer
from jinit.pretrain.rbm_training import RbmTrainer
from jinit.pretrain.trainer import Trainer

TrainerLike = Trainer | Mapping[str, Trainer]
"""A trainer of all layers, or trainers by globs of the paths of kernels."""


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
    progress: ShowProgress | None = None,
    checkpoint: CheckpointFile | None = None,
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
      progress: called with a MethodProgress every second or so.
      checkpoint: file of unfinished work, from which an equal call goes on.

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
    return apply_or_keep(method, model, params, data, key, progress, checkpoint)


@dataclass(frozen=True, kw_only=True, repr=False)
class Greedy(LongMethod):
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

    def find_by(
        self, model: Model, runner: LoopRunner, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return the parameters of the trained layers, and the history of each."""
        self._check_globs(model)
        sites = read_sites(model)
        trainers = {
            number: trainer
            for number, site in enumerate(sites)
            if isinstance(trainer := self._trainer(model, number, site), Trainer)
        }
        histories: dict[int, dict[str, Array]] = {}
        passes = 0.0
        for place, (number, trainer) in enumerate(trainers.items(), 1):
            layer = LayerPlace(sites[number].path, place, len(trainers))
            observed = observe_layer(model, number, self.rows, params, batches, key)
            trained = train_layer(runner, layer, trainer, model, number, observed)
            params = write_layer(model, number, params, trained)
            histories[number] = trained.history
            passes += 1 + _training_passes(model, number, trainer, len(observed.inputs), batches)
        history = {
            f"{sites[number].path} {name}": each
            for number, numbers in histories.items()
            for name, each in numbers.items()
        }
        return params, Findings(_last_numbers(model, histories), history, passes)

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


@partial(jax.jit, static_argnums=0)
def _last_numbers(model: Model, histories: dict[int, dict[str, Array]]) -> dict[str, Array]:
    """Return the numbers after the last epoch by name, each with one per layer."""
    names = dict.fromkeys(name for each in histories.values() for name in each)
    missing = dict.fromkeys(names, jnp.full(1, jnp.nan))
    numbers = [layer.contraction for layer in model.layers]
    return {
        name: jnp.stack([histories.get(number, missing)[name][-1] for number in numbers])
        for name in names
    }


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
