"""Greedy pre-training with one kind of trainer: `rbm` and `autoencoder`."""

from collections.abc import Sequence
from typing import Any

from jax import Array

from jinit.calibrate import CheckpointFile, ShowProgress
from jinit.calibrate.method import BaseInitializer
from jinit.model import Model, PyTree
from jinit.pretrain.autoencoder_training import AutoencoderTrainer
from jinit.pretrain.checks import check_option_names
from jinit.pretrain.greedy import greedy
from jinit.pretrain.rbm_training import RbmTrainer


def rbm(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    layers: Sequence[str] | None = None,
    rows: int = 50_000,
    init: BaseInitializer = "he_normal",
    progress: ShowProgress | None = None,
    checkpoint: CheckpointFile | None = None,
    **options: Any,
) -> Any:
    """Train the layers of a network one after the other as restricted Boltzmann machines.

    This is `greedy` with an `RbmTrainer`.

    Args:
      model: the traced network; None to get a value of the axis `init` of a sweep.
      params: its parameters.
      data: an array of inputs, a batch `(inputs, ...)`, or an iterable of batches.
      key: key of everything that is drawn.
      layers: globs of the paths of the kernels to train.
      rows: largest number of inputs or patches on which a layer is trained.
      init: initializer of the kernels in a sweep.
      progress: called with a MethodProgress every second or so.
      checkpoint: file of unfinished work, from which an equal call goes on.
      **options: options of `RbmTrainer`, such as `epochs`, `learning_rate` and `visible`.

    Returns:
      The parameters and a Report; without a model, the method with its options.

    Raises:
      TypeError: if there is no such option.
      ValueError: as `greedy`.

    References:
      Hinton, Osindero and Teh, "A fast learning algorithm for deep belief nets", 2006.

    >>> rbm(epochs=30)
    rbm(epochs=30)
    """
    check_option_names("rbm", options, RbmTrainer.__dataclass_fields__)
    return greedy(
        model,
        params,
        data,
        key,
        trainers=RbmTrainer(**options),
        layers=layers,
        rows=rows,
        init=init,
        progress=progress,
        checkpoint=checkpoint,
    )


def autoencoder(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    layers: Sequence[str] | None = None,
    rows: int = 50_000,
    init: BaseInitializer = "he_normal",
    progress: ShowProgress | None = None,
    checkpoint: CheckpointFile | None = None,
    **options: Any,
) -> Any:
    """Train the layers of a network one after the other as autoencoders.

    This is `greedy` with an `AutoencoderTrainer`.

    Args:
      model: the traced network; None to get a value of the axis `init` of a sweep.
      params: its parameters.
      data: an array of inputs, a batch `(inputs, ...)`, or an iterable of batches.
      key: key of everything that is drawn.
      layers: globs of the paths of the kernels to train.
      rows: largest number of inputs or patches on which a layer is trained.
      init: initializer of the kernels in a sweep.
      progress: called with a MethodProgress every second or so.
      checkpoint: file of unfinished work, from which an equal call goes on.
      **options: options of `AutoencoderTrainer`, such as `epochs`, `corruption` and `tied`.

    Returns:
      The parameters and a Report; without a model, the method with its options.

    Raises:
      TypeError: if there is no such option.
      ValueError: as `greedy`.

    References:
      Vincent et al., "Stacked denoising autoencoders", 2010.

    >>> autoencoder(level=0.1)
    autoencoder(level=0.1)
    """
    check_option_names("autoencoder", options, AutoencoderTrainer.__dataclass_fields__)
    return greedy(
        model,
        params,
        data,
        key,
        trainers=AutoencoderTrainer(**options),
        layers=layers,
        rows=rows,
        init=init,
        progress=progress,
        checkpoint=checkpoint,
    )
