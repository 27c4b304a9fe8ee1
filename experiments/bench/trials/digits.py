"""scikit-learn's scanned digits: images and batches, the same as in a sweep of jinit."""

from collections.abc import Iterator

import numpy as np
from sklearn.datasets import load_digits

from trials import BATCH, PROBLEMS

Arrays = tuple[np.ndarray, np.ndarray]


def load(problem: str) -> tuple[Arrays, Arrays]:
    """(train, validation), 80 % and 20 % of 1797 images, centred and of mean square 1."""
    images, labels = (np.asarray(array) for array in load_digits(return_X_y=True))
    order = np.random.default_rng(0).permutation(len(images))
    train, validation = np.split(order, [int(0.8 * len(order))])
    centred = images - images[train].mean(0)
    images = (centred / centred[train].std()).astype(np.float32)
    images = images.reshape(-1, *PROBLEMS[problem].shape)
    labels = labels.astype(np.int32)
    return (images[train], labels[train]), (images[validation], labels[validation])


def batches(seed: int, size: int, steps: int) -> Iterator[np.ndarray]:
    """Index arrays of `steps` batches: a new permutation every epoch, the short rest dropped.

    The permutations are those of a jinit sweep, so that losses can be compared trial by trial.
    """
    per_epoch = size // BATCH
    for epoch in range(-(-steps // per_epoch)):
        order = np.random.default_rng([seed, epoch]).permutation(size).astype(np.int32)
        for place in range(min(per_epoch, steps - epoch * per_epoch)):
            yield order[place * BATCH : (place + 1) * BATCH]
