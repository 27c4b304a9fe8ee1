"""A supervised task: inputs, targets, a loss, and the score of a guess."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from jinit.model import PyTree
from jinit.sweep.data import Augmentation, Data, check_arrays, leading_length
from jinit.sweep.losses import ExampleLoss, cross_entropy, squared_error
from jinit.sweep.recent import Recent
from jinit.sweep.trial import Trial


@dataclass(frozen=True, eq=False)
class Task(Data):
    """Inputs and targets to train and to validate on.

    Each part is a pair `(inputs, targets)`, or a triple with weights of examples, with examples
    along axis 0. Inputs and targets are arrays or trees of them; a tuple of inputs is passed to the
    network as several arguments. Integer targets mean classification by cross-entropy, scored by
    accuracy as well. Floating targets mean regression by squared error.

    Args:
      name: name of the task in records.
      train: `(inputs, targets)` or `(inputs, targets, weights)`, or a stream of such batches.
      validation: like `train`, but no stream.
      batch_size: examples per step, at most the number of training examples; a stream has its own.
      loss: `loss(outputs, targets)`, one number per example, or `[batch, ...]` with one per example
        and position; None to choose it by the targets. Its other parameters can be axes of a sweep,
        such as `label_smoothing`, and then have these values in training and their defaults in
        evaluation.
      test: like `validation`, evaluated after the last step only.
      evaluation_batch: examples that are validated or tested on at once.
      metrics: functions by name, with the same arguments and shapes as the loss.
      augment: `augment(key, batch)`, applied to every training batch with a key of its own.

    Raises:
      TypeError: if the loss is not a function.
      ValueError: if inputs and targets differ in number, a set is empty, values are not finite,
        integer targets are not classes, or `batch_size` is out of range.

    >>> import numpy as np
    >>> x, y = np.ones((32, 4), np.float32), np.arange(32) % 2
    >>> Task("mine", train=(x, y), validation=(x, y), batch_size=8).classes
    2
    """

    loss: ExampleLoss | None = None
    _: KW_ONLY
    metrics: Mapping[str, ExampleLoss] = field(default_factory=dict)
    augment: Augmentation | None = None
    trials: Recent[Trial] = field(default_factory=Recent, init=False, repr=False)
    """Trials that were built for it, with their programs, which later sweeps use again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss is not None and not callable(self.loss):
            raise TypeError(
                f"task {self.name!r}: loss: expected a function of outputs and targets with one "
                f"number per example, such as jinit.sweep.cross_entropy, got {self.loss!r}"
            )
        if self.validation is None:
            raise ValueError(
                f"task {self.name!r}: validation must be a pair (inputs, targets), got None"
            )
        if self.loss is None and self.is_stream:
            self._check_classes(("validation",))
        elif self.loss is None:
            self._check_classes(("train", "validation"))

    def _check_part(self, part: str, value: Any) -> PyTree:
        if not isinstance(value, tuple | list) or len(value) not in (2, 3):
            raise ValueError(
                f"task {self.name!r}: {part} must be a pair (inputs, targets) or a triple with "
                f"weights, got {_describe(value)}"
            )
        inputs, targets = (check_arrays(self.name, part, _as_tree(each)) for each in value[:2])
        if leading_length(inputs) != leading_length(targets):
            raise ValueError(
                f"task {self.name!r}: {part} has {leading_length(inputs)} inputs and "
                f"{leading_length(targets)} targets; expected the same number of each"
            )
        if isinstance(targets, np.ndarray) and targets.dtype.kind == "b":
            targets = targets.astype(np.int32)
        if len(value) == 2:
            return inputs, targets
        return inputs, targets, self._check_weights(part, value[2], leading_length(inputs))

    def _check_weights(self, part: str, weights: Any, examples: int) -> np.ndarray:
        checked = check_arrays(self.name, part, np.asarray(weights, np.float32))
        if len(checked) != examples or checked.min() < 0 or not checked.any():
            raise ValueError(
                f"task {self.name!r}: {part} has weights of shape {checked.shape} and minimum "
                f"{checked.min():g}; expected one of at least 0 per example, {examples}, not all 0"
            )
        return checked

    def _check_classes(self, parts: tuple[str, ...]) -> None:
        """Raise unless integer targets are classes: one per example, counted from 0."""
        for part in parts:
            targets = getattr(self, part)[1]
            if not isinstance(targets, np.ndarray):
                raise ValueError(
                    f"task {self.name!r}: {part} has targets in a tree, so the loss cannot be "
                    "chosen by them: give loss=..., a function of outputs and targets"
                )
            if targets.dtype.kind not in "iufb":
                raise ValueError(
                    f"task {self.name!r}: {part} has targets of dtype {targets.dtype}; expected "
                    "numbers: np.unique(targets, return_inverse=True)[1] counts classes from 0"
                )
            if targets.dtype.kind in "iu" and (targets.ndim != 1 or targets.min() < 0):
                raise ValueError(
                    f"task {self.name!r}: integer targets are classes, one per example and counted "
                    f"from 0, but {part} has shape {targets.shape} and minimum {targets.min()}: "
                    "use .ravel() for a column, .argmax(-1) for one-hot rows, np.unique(..., "
                    "return_inverse=True) for other labels, .astype('float32') for a regression, "
                    "loss=jinit.sweep.cross_entropy for a class at every position"
                )

    @property
    def objective(self) -> ExampleLoss:
        """The loss per example: the given one, or the one chosen by the targets."""
        return self.loss or (cross_entropy if self.classes else squared_error)

    @property
    def classes(self) -> int | None:
        """Number of classes, or None for regression."""
        parts = [self.validation] if self.is_stream else [self.train, self.validation]
        targets = [part[1] for part in parts]
        if not all(isinstance(each, np.ndarray) and each.dtype.kind in "iu" for each in targets):
            return None
        return int(max(target.max() for target in targets)) + 1

    @property
    def outputs(self) -> int:
        """Number of outputs of a network: the classes, or the size of a target."""
        return self.classes or int(np.prod(self.validation[1].shape[1:], dtype=int))

    @property
    def chance(self) -> float | None:
        """Accuracy or loss of the best constant guess on the validation set; None if unknown."""
        targets = self.validation[1]
        if self.classes and targets.min() >= 0:
            return float(np.bincount(targets.ravel()).max() / targets.size)
        if self.objective is squared_error and not (self.is_stream or self.classes):
            return float(np.mean((targets - self.train[1].mean(0, keepdims=True)) ** 2))
        return None


def _describe(value: Any) -> str:
    if isinstance(value, tuple | list):
        kind = f"a {type(value).__name__} of {len(value)}"
        return f"{kind}; for batches that are read in turn give a loader, or a function"
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"an array of shape {shape}"


def _as_tree(value: Any) -> PyTree:
    """Return a tuple or dictionary unchanged, and anything else, such as a list, as an array."""
    return value if isinstance(value, tuple | dict) else np.asarray(value)
