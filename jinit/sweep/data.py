"""Data to train, validate and test on: trees of arrays, or a stream of batches."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jax
import numpy as np

from jinit.model import PyTree
from jinit.sweep.counts import as_integer, check_count
from jinit.sweep.stream import Stream, canonical_array, is_stream

_EVALUATION_BATCH = 256


@dataclass(frozen=True, eq=False)
class Data:
    """Data that the lanes of a sweep share: what a `Trial` gets its batches from.

    Training data is a tree of arrays with examples along axis 0, which is kept on the devices; or,
    if it does not fit there, a stream: an iterable of batches (such as a Grain loader), or a
    function that returns an iterator. All lanes get the batches of a stream in the same order; an
    iterable that ends is started again.

    Args:
      name: name of the data in records.
      train: tree of arrays, or a stream of batches.
      validation: tree of arrays to validate on, with examples along axis 0; None for none.
      batch_size: examples per step, at most the number of training examples; a stream has its own.
      test: tree of arrays to test on after the last step; None for none.
      evaluation_batch: examples that are validated or tested on at once.

    Raises:
      ValueError: if arrays differ in their number of examples, are empty or not finite, or a size
        is out of range.

    >>> import numpy as np
    >>> Data("noise", {"x": np.ones((32, 4), np.float32)}, batch_size=8).examples
    32
    """

    name: str
    train: Any
    validation: Any = None
    batch_size: int = 64
    _: KW_ONLY
    test: Any = None
    evaluation_batch: int = _EVALUATION_BATCH

    def __post_init__(self) -> None:
        parts = ("validation", "test") if self.is_stream else ("train", "validation", "test")
        for part in parts:
            if (value := getattr(self, part)) is not None:
                object.__setattr__(self, part, self._check_part(part, value))
        object.__setattr__(
            self, "evaluation_batch", check_count("evaluation_batch", self.evaluation_batch)
        )
        if self.is_stream:
            object.__setattr__(self, "train", Stream(self.name, self.train))
        else:
            object.__setattr__(self, "batch_size", self.check_batch_size(self.batch_size))

    def _check_part(self, part: str, value: Any) -> PyTree:
        """Return a part as a tree of arrays with equal numbers of examples."""
        return check_arrays(self.name, part, value)

    @property
    def is_stream(self) -> bool:
        """Whether the training data is a stream of batches."""
        return isinstance(self.train, Stream) or is_stream(self.train)

    @property
    def examples(self) -> int:
        """Number of training examples; 0 for a stream, which has no number."""
        return 0 if self.is_stream else leading_length(self.train)

    @property
    def validation_examples(self) -> int:
        """Number of examples to validate on."""
        return 1 if self.validation is None else leading_length(self.validation)

    def check_batch_size(self, value: object) -> int:
        """Return a number of examples per step.

        Args:
          value: the number given.

        Raises:
          ValueError: if it is not an integer from 1 to the number of training examples.
        """
        batch_size = as_integer(value)
        if batch_size is None or not 1 <= batch_size <= self.examples:
            raise ValueError(
                f"task {self.name!r}: batch_size={value!r}, expected an integer from "
                f"1 to {self.examples}, the number of training examples"
            )
        return batch_size

    def example_batch(self, examples: int) -> PyTree:
        """Return the first training examples, or the first batch of a stream.

        Args:
          examples: most examples to return.
        """
        train = self.train.first if self.is_stream else self.train
        return jax.tree.map(lambda leaf: leaf[:examples], train)

    def batch_struct(self) -> PyTree:
        """Return the abstract batch of a step."""
        size = leading_length(self.train.first) if self.is_stream else self.batch_size
        return jax.tree.map(as_struct, self.example_batch(size))

    def validation_struct(self) -> PyTree:
        """Return an abstract batch to validate on; None without validation data."""
        if self.validation is None:
            return None
        return self._evaluation_struct(self.validation)

    def evaluated_struct(self) -> PyTree:
        """Return an abstract batch to validate or to test on; None without any."""
        evaluated = self.test if self.validation is None else self.validation
        return None if evaluated is None else self._evaluation_struct(evaluated)

    def _evaluation_struct(self, part: PyTree) -> PyTree:
        size = self.evaluation_batch
        return jax.tree.map(lambda leaf: as_struct(leaf[:size]), part)


def as_struct(array: Any) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of an array.

    >>> as_struct(np.ones(3, np.float32)).shape
    (3,)
    """
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def leading_length(tree: PyTree) -> int:
    """Return the number of examples of a tree, the length of axis 0.

    >>> leading_length({"x": np.ones((3, 2))})
    3
    """
    return len(jax.tree.leaves(tree)[0])


def check_arrays(name: str, part: str, value: PyTree) -> PyTree:
    """Return a tree as NumPy arrays in the widths that JAX uses.

    Args:
      name: name of the data, for messages.
      part: the part of it, such as `train`.
      value: a tree of arrays with examples along axis 0.

    Raises:
      ValueError: if the tree is empty, numbers of examples differ, or values are not finite.

    >>> check_arrays("mine", "train", np.ones(2)).dtype
    dtype('float32')
    """
    tree = jax.tree.map(canonical_array, value)
    leaves = jax.tree.leaves(tree)
    counts = sorted({leaf.shape[0] if leaf.ndim else 0 for leaf in leaves})
    if len(counts) != 1 or not counts[0]:
        raise ValueError(
            f"task {name!r}: {part} has arrays with {counts or 'no'} examples along axis 0; "
            "expected the same number in each, at least one"
        )
    for leaf in leaves:
        if leaf.dtype.kind == "f" and not np.isfinite(leaf).all():
            raise ValueError(f"task {name!r}: {part} has NaN or infinity; clean it first")
    return tree


Augmentation = Callable[[jax.Array, PyTree], PyTree]
"""`augment(key, batch)` returns a changed batch."""
