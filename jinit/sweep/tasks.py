"""Data to train on: arrays, a loss, and how a prediction is scored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

Loss = Callable[[Any, Any], jax.Array]


def cross_entropy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Softmax cross-entropy of logits with integer classes, one number per example.

    >>> import jax.numpy as jnp
    >>> bool(jnp.allclose(cross_entropy(jnp.zeros((1, 10)), jnp.array([3])), jnp.log(10)))
    True
    """
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


def squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean over outputs of the squared error, one number per example.

    >>> import jax.numpy as jnp
    >>> squared_error(jnp.array([[1.0, 3.0]]), jnp.array([[0.0, 0.0]])).tolist()
    [5.0]
    """
    flat = jnp.reshape(outputs, (outputs.shape[0], -1)) - jnp.reshape(
        targets, (targets.shape[0], -1)
    )
    return jnp.mean(flat**2, axis=-1)


@dataclass(frozen=True, eq=False)
class Task:
    """Arrays to learn from and to validate on.

    Integer targets mean classification by cross-entropy, scored by accuracy as well; floating
    targets mean regression by squared error. Another `loss(outputs, targets)`, one number per
    example, can be given.

    Args:
      name: how the task is called in records.
      train, validation: pairs (inputs, targets), examples along axis 0.
      batch_size: examples per step, at most the number of training examples.
      loss: per-example loss; chosen from the targets when None.

    Raises:
      ValueError: numbers of examples that differ, an empty set, or inputs that are not finite.

    >>> import numpy as np
    >>> x, y = np.ones((32, 4), np.float32), np.arange(32) % 2
    >>> Task("mine", train=(x, y), validation=(x, y), batch_size=8).classes
    2
    """

    name: str
    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    batch_size: int = 64
    loss: Loss | None = None

    def __post_init__(self) -> None:
        for part in ("train", "validation"):
            object.__setattr__(self, part, _checked(self.name, part, getattr(self, part)))
        examples = len(self.train[0])
        if not isinstance(self.batch_size, int) or not 1 <= self.batch_size <= examples:
            raise ValueError(
                f"task {self.name!r}: batch_size={self.batch_size!r}, expected an integer from "
                f"1 to {examples}, the number of training examples"
            )
        if self.loss is None:
            self._check_classes()

    def _check_classes(self) -> None:
        """Integer targets are classes: one number per example, counted from 0."""
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
    def objective(self) -> Loss:
        """The loss per example: the one given, or the one that the targets call for."""
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
        """How many numbers a network has to put out: classes, or the size of a target."""
        return self.classes or int(np.prod(self.train[1].shape[1:], dtype=int))

    @property
    def chance(self) -> float | None:
        """What the best constant guess scores on the validation set: its accuracy or its loss."""
        targets = self.validation[1]
        if self.classes:
            return float(np.bincount(targets.astype(int)).max() / len(targets))
        if self.objective is squared_error:
            return float(np.mean((targets - self.train[1].mean(0, keepdims=True)) ** 2))
        return None


def digits(batch_size: int = 64) -> Task:
    """scikit-learn's 1,797 scanned digits, 8 × 8 pixels, 10 classes; 80 % to train on.

    Pixels are centred and divided by one common standard deviation, so that inputs have mean
    square 1 and pixels that never light up stay 0.

    >>> digits().train[0].shape
    (1437, 64)
    """
    return _sklearn("digits", "load_digits", batch_size, per_feature=False)


def breast_cancer(batch_size: int = 32) -> Task:
    """scikit-learn's 569 breast-cancer biopsies, 30 features, 2 classes; 80 % to train on.

    >>> breast_cancer().classes
    2
    """
    return _sklearn("breast_cancer", "load_breast_cancer", batch_size, per_feature=True)


TASKS = {"digits": digits, "breast_cancer": breast_cancer}
"""Tasks that come with jinit, by name."""


def _sklearn(name: str, loader: str, batch_size: int, *, per_feature: bool) -> Task:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            f"task {name!r} reads its data from scikit-learn, which is not installed: "
            "pip install 'jinit[data]'"
        ) from error
    inputs, targets = getattr(datasets, loader)(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(inputs))
    train, validation = np.split(order, [int(0.8 * len(order))])
    centre = inputs[train].mean(0)
    spread = inputs[train].std(0) if per_feature else (inputs[train] - centre).std()
    scaled = ((inputs - centre) / spread).astype(np.float32)
    classes = targets.astype(np.int32)
    return Task(
        name,
        (scaled[train], classes[train]),
        (scaled[validation], classes[validation]),
        batch_size,
    )


def _checked(name: str, part: str, pair: Any) -> tuple[np.ndarray, np.ndarray]:
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
            raise ValueError(f"task {name!r}: {part} {kind} hold NaN or infinity; clean them first")
    if targets.dtype.kind == "b":
        targets = targets.astype(np.int32)
    return _narrow(inputs), _narrow(targets)


def _narrow(array: np.ndarray) -> np.ndarray:
    """JAX's default width, unless x64 is on."""
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype))
