"""Tasks of measured data: the small data sets that scikit-learn has inside."""

import importlib.util
from pathlib import Path

import numpy as np

from jinit.report import explain_missing_extra
from jinit.sweep.task import Task

_SIDE = 8
"""Rows and columns of a scanned digit."""


def digits(batch_size: int = 64, *, images: bool = False, with_test: bool = False) -> Task:
    """Load scikit-learn's 1,797 scanned digits: 8 × 8 pixels, 10 classes, 80 % to train on.

    Pixels are centered and divided by one common standard deviation, so that inputs have mean
    square 1 and pixels that are always dark are 0. Source: the test part of "Optical recognition
    of handwritten digits", UCI Machine Learning Repository, licence CC BY 4.0.

    Args:
      batch_size: examples per step.
      images: whether inputs have shape `[8, 8, 1]`, for convolutions, rather than `[64]`.
      with_test: whether half of the other 20 % is a test set; by default all of it is validated on.

    Returns:
      The task.

    Raises:
      MissingExtraError: if scikit-learn is not installed.

    Reference: Alpaydin and Kaynak, Optical recognition of handwritten digits, 1998.

    >>> digits().train[0].shape, digits(images=True).train[0].shape
    ((1437, 64), (1437, 8, 8, 1))
    """
    shape = (_SIDE, _SIDE, 1) if images else (_SIDE * _SIDE,)
    inputs, classes = _load_sklearn("digits", "digits.csv.gz", header_lines=0)
    return _split("digits", inputs, classes, batch_size, shape, None, with_test)


def breast_cancer(batch_size: int = 32, *, with_test: bool = False) -> Task:
    """Load scikit-learn's 569 breast-cancer biopsies: 30 features, 2 classes, 80 % to train on.

    Every feature is centered and divided by its standard deviation. Source: "Breast cancer
    Wisconsin (diagnostic)", UCI Machine Learning Repository, licence CC BY 4.0.

    Args:
      batch_size: examples per step.
      with_test: whether half of the other 20 % is a test set; by default all of it is validated on.

    Returns:
      The task.

    Raises:
      MissingExtraError: if scikit-learn is not installed.

    Reference: Street, Wolberg and Mangasarian, Nuclear feature extraction, 1993.

    >>> breast_cancer(with_test=True).test[0].shape
    (57, 30)
    """
    inputs, classes = _load_sklearn("breast_cancer", "breast_cancer.csv", header_lines=1)
    return _split("breast_cancer", inputs, classes, batch_size, inputs.shape[1:], 0, with_test)


def _load_sklearn(name: str, file: str, header_lines: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the examples and classes of a data set of scikit-learn.

    Its table is read from the installed package if it is there: the import takes a second.
    """
    package = importlib.util.find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder, "datasets", "data", file)
        if path.is_file():
            table = np.loadtxt(path, delimiter=",", skiprows=header_lines)
            return table[:, :-1], table[:, -1].astype(np.int32)
    with explain_missing_extra(f"The task {name!r}", extra="data"):
        from sklearn import datasets
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def _split(
    name: str,
    inputs: np.ndarray,
    classes: np.ndarray,
    batch_size: int,
    shape: tuple[int, ...],
    std_axis: int | None,
    with_test: bool,
) -> Task:
    """Return the task of scaled and shuffled examples; `std_axis` is None for one common scale."""
    order = np.random.default_rng(0).permutation(len(inputs))
    train, validation = np.split(order, [int(0.8 * len(order))])
    mean = inputs[train].mean(0)
    scaled = (inputs - mean) / (inputs[train] - mean).std(std_axis)
    scaled = scaled.astype(np.float32).reshape(-1, *shape)

    def part(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return scaled[places], classes[places].astype(np.int32)

    half = len(validation) // 2 if with_test else len(validation)
    test = part(validation[half:]) if with_test else None
    return Task(name, part(train), part(validation[:half]), batch_size, test=test)
