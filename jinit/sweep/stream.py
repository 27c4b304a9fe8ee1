"""Streams of batches, and chunks of them that are prepared while the devices train."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from jinit.model import PyTree


class Stream:
    """Batches of training data that are read while the devices train.

    Args:
      name: name of the data, for messages.
      source: an iterable of batches, or a function that returns an iterator.

    Raises:
      ValueError: if there is no first batch.

    >>> stream = Stream("squares", lambda: iter([np.ones(2), np.zeros(2)]))
    >>> [float(batch[0]) for batch in itertools.islice(stream.batches(), 3)]
    [1.0, 0.0, 1.0]
    """

    def __init__(self, name: str, source: Iterable[PyTree] | Callable[[], Iterable]) -> None:
        self.name, self.source = name, source
        self._iterator = source if isinstance(source, Iterator) else None
        self._starts = 0
        try:
            self.first: PyTree = self._canonical(next(iter(self._open())))
        except StopIteration:
            raise ValueError(f"task {name!r}: the stream of training batches is empty") from None

    @property
    def is_single(self) -> bool:
        """Whether the stream can be read only once."""
        return self._iterator is not None

    def batches(self) -> Iterator[PyTree]:
        """Yield batches from the beginning of the stream, again and again.

        Raises:
          ValueError: if the stream ends and cannot be started again, or a batch has another shape.
        """
        shapes = self._shapes(self.first)
        if self._iterator is not None:
            self._begin_once()
            yield self.first
        while True:
            for batch in self._open():
                canonical = self._canonical(batch)
                if self._shapes(canonical) != shapes:
                    raise ValueError(self._shape_message(self._shapes(canonical), shapes))
                yield canonical
            if self._iterator is not None:
                raise ValueError(self._once_message("has ended and"))

    def chunks(self, lengths: Iterable[int], skipped: int = 0) -> Iterator[PyTree]:
        """Yield consecutive batches stacked along a new axis 0, the next chunk read in advance.

        Args:
          lengths: number of batches of each chunk.
          skipped: number of batches that are left out at the beginning.
        """
        batches, sizes = itertools.islice(self.batches(), skipped, None), list(lengths)
        with ThreadPoolExecutor(1) as thread:
            pending: Future | None = None
            for size in (*sizes, None):
                following = None
                if size is not None:
                    following = thread.submit(_stack, batches, size)
                if pending is not None:
                    yield pending.result()
                pending = following

    def _begin_once(self) -> None:
        self._starts += 1
        if self._starts > 1:
            raise ValueError(self._once_message("is needed by more than one block of lanes, and"))

    def _open(self) -> Iterable[PyTree]:
        return self.source() if callable(self.source) else self.source

    def _canonical(self, batch: PyTree) -> PyTree:
        return jax.tree.map(canonical_array, batch)

    def _shapes(self, batch: PyTree) -> str:
        return str(jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", batch))

    def _shape_message(self, seen: str, expected: str) -> str:
        return (
            f"task {self.name!r}: a batch of the stream has arrays {seen}, and the first one had "
            f"{expected}: one compiled program needs equal shapes; drop or pad the last batch"
        )

    def _once_message(self, reason: str) -> str:
        return (
            f"task {self.name!r}: the iterator of training batches {reason} cannot be started "
            "again: give an iterable such as a loader, or the function that returns the iterator"
        )


def _stack(batches: Iterator[PyTree], size: int) -> PyTree:
    taken = list(itertools.islice(batches, size))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *taken)


def is_stream(train: Any) -> bool:
    """Return whether training data is a stream and no tree of arrays.

    >>> is_stream(lambda: iter([])), is_stream((np.ones(2), np.ones(2)))
    (True, False)
    """
    is_tree = isinstance(train, tuple | list | dict) or hasattr(train, "shape")
    return callable(train) or (isinstance(train, Iterable) and not is_tree)


def canonical_array(array: Any) -> np.ndarray:
    """Return a NumPy array in the width that JAX uses: 32 bits, unless x64 is on.

    >>> canonical_array([1.0]).dtype
    dtype('float32')
    """
    given = np.asarray(array)
    return given.astype(jax.dtypes.canonicalize_dtype(given.dtype), copy=False)
