"""scikit-learn's scanned digits, for the rivals."""

import numpy as np
from sklearn.datasets import load_digits

Arrays = tuple[np.ndarray, np.ndarray]


def load() -> tuple[Arrays, Arrays]:
    """(train, validation), 80 % and 20 % of 1797 images, centred and of mean square 1."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    train, validation = np.split(order, [int(0.8 * len(order))])
    centred = images - images[train].mean(0)
    images = (centred / centred[train].std()).astype(np.float32)
    labels = labels.astype(np.int32)
    return (images[train], labels[train]), (images[validation], labels[validation])


def batches(generator: np.random.Generator, size: int, batch: int, steps: int):
    """Index arrays of `steps` batches: a new permutation every epoch, the short rest dropped."""
    while True:
        order = generator.permutation(size)
        for start in range(0, size - batch + 1, batch):
            if steps == 0:
                return
            yield order[start : start + batch]
            steps -= 1
