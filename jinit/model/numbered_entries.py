"""Follow numbered entries of an array through operations that move them.

Arrays are NumPy views with strides of zero along the axes on which the numbers do not depend, so
that following them costs no memory.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jinit.model.operation import Operation
from jinit.model.primitives import ELEMENTWISE

_SAME_SHAPE = ELEMENTWISE | {"cumsum", "cummax", "cumprod", "cumlogsumexp"}
_RESIZES = frozenset({"pad", "concatenate", "dynamic_slice", "dynamic_update_slice"})


def number_axes(shape: Sequence[int], axes: Sequence[int]) -> np.ndarray:
    """Return an array that numbers the entries along some axes, in the order of these axes.

    Args:
      shape: shape of the array.
      axes: the axes to number, in increasing order.

    >>> number_axes((2, 3), (1,))
    array([[0, 1, 2],
           [0, 1, 2]])
    """
    sizes = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    return np.broadcast_to(np.arange(np.prod(sizes, dtype=int)).reshape(sizes), tuple(shape))


def distinct_numbers(numbers: np.ndarray) -> np.ndarray:
    """Return all numbers that occur, sorted.

    Args:
      numbers: numbered entries.
    """
    return np.unique(_without_copies(numbers))


def entries_along(numbers: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Return the numbers along some axes, in this order, at the first entry of all others.

    Args:
      numbers: numbered entries.
      axes: the axes to keep.

    >>> entries_along(number_axes((2, 3), (1,)), (1,))
    array([0, 1, 2])
    """
    others = [axis for axis in range(numbers.ndim) if axis not in axes]
    return numbers.transpose([*others, *axes])[(0,) * len(others)]


def varies(numbers: np.ndarray, axes: Sequence[int]) -> bool:
    """Return whether the numbers differ along some axes; True if all of these have size one.

    Args:
      numbers: numbered entries.
      axes: the axes.
    """
    first = numbers[
        tuple(slice(1) if axis in axes else slice(None) for axis in range(numbers.ndim))
    ]
    is_single = first.shape == numbers.shape
    return is_single or bool((_without_copies(numbers) != _without_copies(first)).any())


def _without_copies(numbers: np.ndarray) -> np.ndarray:
    """Return the first entry along all axes on which the numbers do not depend."""
    return numbers[tuple(slice(None) if stride else slice(1) for stride in numbers.strides)]


def move_entries(operation: Operation, numbers: Sequence[np.ndarray | None]) -> list[Any]:
    """Return the numbers of the entries of every result of an operation; None if unknown.

    An elementwise operation keeps the numbers of its first operand that has some.

    Args:
      operation: the operation.
      numbers: numbers of the entries of every operand; None if unknown.
    """
    known = [array for array in numbers if array is not None]
    if not known:
        return [None] * len(operation.results)
    if operation.name == "concatenate" and len(known) == len(numbers):
        return [_concatenate(known, operation)]
    if operation.name in _MOVES and numbers[0] is not None:
        moved = _MOVES[operation.name](numbers[0], operation)
        return list(moved) if isinstance(moved, list) else [moved]
    return [_follow(operation.name, known, shape) for shape in operation.shapes]


def _follow(name: str, known: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray | None:
    same = [array for array in known if array.shape == shape]
    if name in _SAME_SHAPE:
        return same[0] if same else None
    if name in _RESIZES:
        return _resize(known[0], shape)
    return None


def _resize(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers that do not depend on the axes whose size changes."""
    pairs = zip(numbers.shape, shape, strict=True)
    kept = numbers[tuple(slice(None) if old == new else slice(1) for old, new in pairs)]
    return np.broadcast_to(kept, shape)


def _concatenate(numbers: Sequence[np.ndarray], operation: Operation) -> np.ndarray:
    """Return joined numbers; along axes on which none depends, only the first entry is copied."""
    axis, shape = operation.params["dimension"], operation.shapes[0]
    is_needed = [
        number == axis or any(array.strides[number] for array in numbers)
        for number in range(len(shape))
    ]
    first = tuple(slice(None) if needed else slice(1) for needed in is_needed)
    return np.broadcast_to(np.concatenate([array[first] for array in numbers], axis), shape)


def _broadcast(numbers: np.ndarray, operation: Operation) -> np.ndarray:
    shape, targets = operation.shapes[0], operation.params["broadcast_dimensions"]
    sizes = [1] * len(shape)
    for size, axis in zip(numbers.shape, targets, strict=True):
        sizes[axis] = size
    return np.broadcast_to(numbers.reshape(sizes), shape)


def _slice(numbers: np.ndarray, operation: Operation) -> np.ndarray:
    params = operation.params
    strides = params["strides"] or (1,) * numbers.ndim
    bounds = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return numbers[tuple(slice(*bound) for bound in bounds)]


def _split(numbers: np.ndarray, operation: Operation) -> list[np.ndarray]:
    ends = np.cumsum(operation.params["sizes"])[:-1]
    return np.split(numbers, ends, operation.params["axis"])


def _unstack(numbers: np.ndarray, operation: Operation) -> list[np.ndarray]:
    return list(np.moveaxis(numbers, operation.params["axis"], 0))


_MOVES: dict[str, Callable[[np.ndarray, Operation], Any]] = {
    "transpose": lambda numbers, operation: numbers.transpose(operation.params["permutation"]),
    "reshape": lambda numbers, operation: numbers.reshape(operation.shapes[0]),
    "squeeze": lambda numbers, operation: numbers.squeeze(operation.params["dimensions"]),
    "rev": lambda numbers, operation: np.flip(numbers, operation.params["dimensions"]),
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "split": _split,
    "unstack": _unstack,
}
