"""Data to train on: arrays, a loss, and the score of a guess."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jinit.report import explain_missing_extra
from jinit.sweep.counts import as_integer

ExampleLoss = Callable[[Any, Any], jax.Array]
"""A loss of outputs and targets, one number per example."""


def cross_entropy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Return the softmax cross-entropy of logits with integer classes.

    Args:
      outputs: logits `[batch, classes]`.
      targets: integer classes `[batch]`.

    Returns:
      One number per example.

    >>> import jax.numpy as jnp
    >>> bool(jnp.allclose(cross_entropy(jnp.zeros((1, 10)), jnp.array([3])), jnp.log(10)))
    True
    """
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


def squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Return the mean over outputs of the squared error.

    Args:
      outputs: an array `[batch, ...]`.
      targets: an array `[batch, ...]` with as many numbers per example.

    Returns:
      One number per example.

    >>> import jax.numpy as jnp
    >>> squared_error(jnp.array([[1.0, 3.0]]), jnp.array([[0.0, 0.0]])).tolist()
    [5.0]
    """
    flat_outputs = jnp.reshape(outputs, (outputs.shape[0], -1))
    flat_targets = jnp.reshape(targets, (targets.shape[0], -1))
    return jnp.mean((flat_outputs - flat_targets) ** 2, axis=-1)


@dataclass(frozen=True, eq=False)
class Task:
    """Arrays to train and to validate on.

    Integer targets mean classification by cross-entropy, scored by accuracy as well. Floating
    targets mean regression by squared error.

    Args:
      name: name of the task in records.
      train: pair (inputs, targets), with examples along axis 0.
      validation: pair (inputs, targets), with examples along axis 0.
      batch_size: examples per step, at most the number of training examples.
      loss: `loss(outputs, targets)`, one number per example; None to choose it by the targets.

    Raises:
      ValueError: if inputs and targets differ in number, a set is empty, values are not finite,
        integer targets are not classes, or `batch_size` is out of range.

    >>> import numpy as np
    >>> x, y = np.ones((32, 4), np.float32), np.arange(32) % 2
    >>> Task("mine", train=(x, y), validation=(x, y), batch_size=8).classes
    2
    """

    name: str
    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    batch_size: int = 64
    loss: ExampleLoss | None = None

    def __post_init__(self) -> None:
        for part in ("train", "validation"):
            object.__setattr__(self, part, _check_pair(self.name, part, getattr(self, part)))
        examples, batch_size = len(self.train[0]), as_integer(self.batch_size)
        if batch_size is None or not 1 <= batch_size <= examples:
            raise ValueError(
                f"task {self.name!r}: batch_size={self.batch_size!r}, expected an integer from "
                f"1 to {examples}, the number of training examples"
            )
        object.__setattr__(self, "batch_size", batch_size)
        if self.loss is None:
            self._check_classes()

    def _check_classes(self) -> None:
        """Raise unless integer targets are classes: one per example, counted from 0."""
        for part in ("train", "validation"):
            targets = getattr(self, part)[1]
            if targets.dtype.kind in "iu" and (targets.ndim != 1 or targets.min() < 0):
                raise ValueError(
                    f"task {self.name!r}: integer targets are classes, one per example and counted "
                    f"from 0, but {part} has shape {targets.shape} and minimum {targets.min()}: "
                    "use .ravel() for a column, .argmax(-1) for one-hot rows, np.unique(..., "
                    "return_inverse=True) for other labels, .astype('float32') for a regression"
                )

    @property
    def objective(self) -> ExampleLoss:
        """The loss per example: the given one, or the one chosen by the targets."""
        return self.loss or (cross_entropy if self.classes else squared_error)

    @property
    def classes(self) -> int | None:
        """Number of classes, or None for regression."""
        targets = [self.train[1], self.validation[1]]
        if any(target.dtype.kind not in "iub" or target.ndim != 1 for target in targets):
            return None
        return int(max(target.max() for target in targets)) + 1

    @property
    def outputs(self) -> int:
        """Number of outputs of a network: the classes, or the size of a target."""
        return self.classes or int(np.prod(self.train[1].shape[1:], dtype=int))

    @property
    def chance(self) -> float | None:
        """Accuracy or loss of the best constant guess on the validation set; None if unknown."""
        targets = self.validation[1]
        if self.classes:
            return float(np.bincount(targets.astype(int)).max() / len(targets))
        if self.objective is squared_error:
            return float(np.mean((targets - self.train[1].mean(0, keepdims=True)) ** 2))
        return None


def digits(batch_size: int = 64) -> Task:
    """Load scikit-learn's 1,797 scanned digits: 8 × 8 pixels, 10 classes, 80 % to train on.

    Pixels are centered and divided by one common standard deviation, so that inputs have mean
    square 1 and pixels that are always dark are 0.

    Args:
      batch_size: examples per step.

    Returns:
      The task.

    Raises:
      MissingExtraError: if scikit-learn is not installed.

    >>> digits().train[0].shape
    (1437, 64)
    """
    return _load_sklearn("digits", "load_digits", batch_size, per_feature=False)


def breast_cancer(batch_size: int = 32) -> Task:
    """Load scikit-learn's 569 breast-cancer biopsies: 30 features, 2 classes, 80 % to train on.

    Every feature is centered and divided by its standard deviation.

    Args:
      batch_size: examples per step.

    Returns:
      The task.

    Raises:
      MissingExtraError: if scikit-learn is not installed.

    >>> breast_cancer().classes
    2
    """
    return _load_sklearn("breast_cancer", "load_breast_cancer", batch_size, per_feature=True)


TASKS = {"digits": digits, "breast_cancer": breast_cancer}
"""Tasks included in jinit, by name."""


def _load_sklearn(name: str, loader: str, batch_size: int, *, per_feature: bool) -> Task:
    with explain_missing_extra(f"The task {name!r}", extra="data"):
        from sklearn import datasets
    inputs, targets = getattr(datasets, loader)(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(inputs))
    train, validation = np.split(order, [int(0.8 * len(order))])
    mean = inputs[train].mean(0)
    std = inputs[train].std(0) if per_feature else (inputs[train] - mean).std()
    scaled = ((inputs - mean) / std).astype(np.float32)
    classes = targets.astype(np.int32)
    return Task(
        name=name,
        train=(scaled[train], classes[train]),
        validation=(scaled[validation], classes[validation]),
        batch_size=batch_size,
    )


def _check_pair(name: str, part: str, pair: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(f"task {name!r}: {part} must be a pair (inputs, targets), got {pair!r}")
    inputs, targets = (np.asarray(array) for array in pair)
    if not len(inputs) or len(inputs) != len(targets):
        raise ValueError(
            f"task {name!r}: {part} has {len(inputs)} inputs and {len(targets)} targets; "
            "expected the same number of each, at least one"
        )
    for kind, array in (("inputs", inputs), ("targets", targets)):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"task {name!r}: {part} {kind} have NaN or infinity; clean them first")
    if targets.dtype.kind == "b":
        targets = targets.astype(np.int32)
    return _cast_canonical(inputs), _cast_canonical(targets)


def _cast_canonical(array: np.ndarray) -> np.ndarray:
    """Return the array in the width that JAX uses: 32 bits, unless x64 is on."""
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype))
