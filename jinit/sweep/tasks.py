"""The tasks included in jinit."""

from collections.abc import Callable

import numpy as np

from jinit.report import explain_missing_extra
from jinit.sweep.task import Task


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


TASKS: dict[str, Callable[..., Task]] = {"digits": digits, "breast_cancer": breast_cancer}
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
