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
        found = np.empty((len(rows), steps, self._batch), np.int32)
        step = start
        while step < start + steps:
            epoch, first = divmod(step, self._per_epoch)
            last = min(self._per_epoch, first + start + steps - step)
            part = slice(step - start, step - start + last - first)
            for lane, row in enumerate(rows):
                found[lane, part] = self._epoch(int(row), epoch)[first:last]
            step += last - first
        return found

    def _epoch(self, row: int, epoch: int) -> np.ndarray:
        if (row, epoch) not in self._epochs:
            shuffled = np.random.default_rng([self._seeds[row], epoch]).permutation(self._examples)
            kept = shuffled[: self._per_epoch * self._batch].astype(np.int32)
            self._epochs[row, epoch] = kept.reshape(self._per_epoch, self._batch)
        return self._epochs[row, epoch]
