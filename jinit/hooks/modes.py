"""The argument by which a network's call distinguishes training from evaluation."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

_TRUE_IN_TRAINING = ("train", "training", "is_training")
_FALSE_IN_TRAINING = ("deterministic", "use_running_average", "eval_mode", "inference")


class Modes(NamedTuple):
    """Keyword arguments of a call in training and in evaluation."""

    training: dict[str, bool]
    evaluation: dict[str, bool]


def find_modes(call: Callable[..., Any]) -> Modes:
    """Return the keyword arguments that switch a call between training and evaluation.

    Args:
      call: a function, whose parameters have the names that Flax and Haiku use: `train`,
        `training` or `is_training`, true in training; `deterministic`, `use_running_average`,
        `eval_mode` or `inference`, false in training.

    >>> find_modes(lambda x, train: x).training, find_modes(lambda x: x).training
    ({'train': True}, {})
    """
    names = inspect.signature(call).parameters
    training = {name: True for name in _TRUE_IN_TRAINING if name in names}
    training |= {name: False for name in _FALSE_IN_TRAINING if name in names}
    return Modes(training, {name: not value for name, value in training.items()})
