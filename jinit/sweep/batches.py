"""The examples that a seed trains on at every step: the same for every configuration."""

import numpy as np


class Batches:
    """The batches of every seed: each epoch is a new permutation of the training set.

    If the batch size does not divide the number of examples, the rest of an epoch is dropped.
    """

    def __init__(self, seeds: np.ndarray, examples: int, batch_size: int) -> None:
        self._seeds = [int(seed) for seed in seeds]
        self._examples, self._batch_size = examples, batch_size
        self._batches_per_epoch = examples // batch_size
        self._cached_epochs: dict[tuple[int, int], np.ndarray] = {}

    def example_indices(self, seed_indices: np.ndarray, first_step: int, steps: int) -> np.ndarray:
        """Return the indices of the training examples of some steps.

        Args:
          seed_indices: places of the seeds among all seeds, one per lane.
          first_step: the first step.
          steps: number of steps.

        Returns:
          Indices, an int32 array `[lanes, steps, batch_size]`.
        """
        indices = np.empty((len(seed_indices), steps, self._batch_size), np.int32)
        step, end = first_step, first_step + steps
        while step < end:
            epoch, first = divmod(step, self._batches_per_epoch)
            last = min(self._batches_per_epoch, first + end - step)
            filled = slice(step - first_step, step - first_step + last - first)
            for lane, seed_index in enumerate(seed_indices):
                indices[lane, filled] = self._epoch_batches(int(seed_index), epoch)[first:last]
            step += last - first
        return indices

    def _epoch_batches(self, seed_index: int, epoch: int) -> np.ndarray:
        if (seed_index, epoch) not in self._cached_epochs:
            generator = np.random.default_rng([self._seeds[seed_index], epoch])
            shuffled = generator.permutation(self._examples).astype(np.int32)
            kept = shuffled[: self._batches_per_epoch * self._batch_size]
            batches = kept.reshape(self._batches_per_epoch, self._batch_size)
            self._cached_epochs[seed_index, epoch] = batches
        return self._cached_epochs[seed_index, epoch]
