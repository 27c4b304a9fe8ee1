"""Which examples a seed sees at which step: the same for every configuration."""

import numpy as np


class Order:
    """Epoch by epoch, a fresh permutation of the training set for every seed.

    The examples left over when the batch size does not divide the set are dropped from the epoch.
    """

    def __init__(self, seeds: np.ndarray, examples: int, batch_size: int) -> None:
        self._seeds = [int(seed) for seed in seeds]
        self._examples, self._batch = examples, batch_size
        self._per_epoch = examples // batch_size
        self._epochs: dict[tuple[int, int], np.ndarray] = {}

    def batches(self, rows: np.ndarray, start: int, steps: int) -> np.ndarray:
        """Indices `[len(rows), steps, batch]` for the seeds at `rows`, from step `start` on."""
        wanted = np.arange(start, start + steps)
        return np.stack([self._of_seed(int(row), wanted) for row in rows])

    def _of_seed(self, row: int, wanted: np.ndarray) -> np.ndarray:
        epochs, positions = np.divmod(wanted, self._per_epoch)
        first = epochs[0]
        tables = np.stack([self._epoch(row, epoch) for epoch in range(first, epochs[-1] + 1)])
        return tables[epochs - first, positions]

    def _epoch(self, row: int, epoch: int) -> np.ndarray:
        if (row, epoch) not in self._epochs:
            shuffled = np.random.default_rng([self._seeds[row], epoch]).permutation(self._examples)
            kept = shuffled[: self._per_epoch * self._batch].astype(np.int32)
            self._epochs[row, epoch] = kept.reshape(self._per_epoch, self._batch)
        return self._epochs[row, epoch]
