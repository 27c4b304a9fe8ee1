"""scikit-learn's scanned digits, for the rivals."""

import numpy as np
from sklearn.datasets import load_digits

Arrays = tuple[np.ndarray, np.ndarray]


def load() -> tuple[Arrays, Arrays]:
    """(train, validation), 80 % and 20 % of 1797 images, pixels in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images = (images[order] / 16).astype(np.float32)
    labels = labels[order].astype(np.int32)
    split = len(images) * 4 // 5
    return (images[:split], labels[:split]), (images[split:], labels[split:])


def batches(generator: np.random.Generator, size: int, batch: int, steps: int):
    """Index arrays of `steps` batches: a new permutation every epoch, the short rest dropped."""
    while True:
        order = generator.permutation(size)
        for start in range(0, size - batch + 1, batch):
            if steps == 0:
                return
            yield order[start : start + batch]
            steps -= 1
