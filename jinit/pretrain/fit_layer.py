"""One layer that is trained by itself, with progress and a checkpoint."""

from typing import Any

from jax import Array

from jinit.calibrate import CheckpointFile, LoopRunner, ShowProgress, run_watched
from jinit.pretrain.trainer import Trainer


def fit_layer(
    name: str,
    trainer: Trainer,
    hidden: int,
    examples: Array,
    key: Array,
    progress: ShowProgress | None,
    checkpoint: CheckpointFile | None,
) -> tuple[Any, dict[str, Array]]:
    """Return what a trainer trained, and numbers by name with one per epoch.

    Args:
      name: name of the function, for messages.
      trainer: the way to train it.
      hidden: number of hidden units.
      examples: examples, of shape [examples, inputs].
      key: key of everything that is drawn.
      progress: called with the progress, or None.
      checkpoint: file of unfinished work, or None.
    """

    def fit(runner: LoopRunner, examples: Array, key: Array) -> tuple[Any, dict[str, Array]]:
        state, history = runner.run(trainer.loop(hidden), (examples, key))
        return state.network, history

    return run_watched(
        name,
        f"{name}({trainer!r}, hidden={hidden})",
        fit,
        {"data": examples, "key": key},
        progress,
        checkpoint,
    )[0]
