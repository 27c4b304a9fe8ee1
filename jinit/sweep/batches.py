"""The examples that a seed trains on at every step: the same for every configuration."""

from collections import OrderedDict
from functools import lru_cache

import numpy as np

_CACHED_BYTES = 2**26
"""Bytes of epochs that are kept: the lanes of a block share those of their seeds."""

_BOOTSTRAP_STREAM = (0, 1)
"""Follows a seed, so that its sample is not drawn with the random numbers of an epoch."""


class Batches:
    """The batches of every seed: each epoch is a new permutation of the training set.

    If the batch size does not divide the number of examples, the rest of an epoch is dropped.

    Args:
      seeds: the seeds.
      examples: number of training examples.
      batch_size: examples per step.
      bootstrap: whether each seed trains on its own sample of the examples, as many of them, with
        replacement.
    """

    def __init__(
        self, seeds: np.ndarray, examples: int, batch_size: int, *, bootstrap: bool = False
    ) -> None:
        self._seeds = [int(seed) for seed in seeds]
        self._examples, self._batch_size = examples, batch_size
        self._batches_per_epoch = examples // batch_size
        self._most_epochs = max(_CACHED_BYTES // (4 * examples), 1)
        self._sample = lru_cache(self._most_epochs)(self._draw_sample) if bootstrap else None
        self._cached_epochs: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    def example_indices(self, seed_indices: np.ndarray, first_step: int, steps: int) -> np.ndarray:
        """Return the indices of the training examples of some steps.

        Args:
          seed_indices: places of the seeds among all seeds, one per lane.
          first_step: the first step.
          steps: number of steps.

        Returns:
          Indices, an int32 array `[lanes, steps, batch_size]`.
        """
        self._most_epochs = max(self._most_epochs, 2 * len(set(seed_indices.tolist())))
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
            if self._sample is not None:
                shuffled = self._sample(self._seeds[seed_index])[shuffled]
            kept = shuffled[: self._batches_per_epoch * self._batch_size]
            batches = kept.reshape(self._batches_per_epoch, self._batch_size)
            self._cached_epochs[seed_index, epoch] = batches
            if len(self._cached_epochs) > self._most_epochs:
                self._cached_epochs.popitem(last=False)
            return batches
        self._cached_epochs.move_to_end((seed_index, epoch))
        return self._cached_epochs[seed_index, epoch]

    def _draw_sample(self, seed: int) -> np.ndarray:
        generator = np.random.default_rng([seed, *_BOOTSTRAP_STREAM])
        return generator.integers(0, self._examples, self._examples, dtype=np.int32)
