"""The data that a method looks at: batches of one size, stacked."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model import Model, PyTree, trace_for


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DataBatches:
    """DataBatches of one size; every array has a leading axis of batches."""

    inputs: tuple[PyTree, ...]
    """One tree per input of the model."""
    targets: tuple[PyTree, ...]

    @property
    def length(self) -> int:
        """Number of batches."""
        return len(jax.tree.leaves(self.inputs)[0])

    def batch(self, place: Any) -> "DataBatches":
        """Return one batch, without the axis of batches.

        Args:
          place: its place, which may be traced.
        """
        return jax.tree.map(lambda leaf: leaf[place], self)

    def examples(self) -> "DataBatches":
        """Return all examples along axis 0, in place of batches."""
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), self)


def read_batches(
    name: str, model: Model, data: Any, *, needs_targets: bool = False
) -> tuple[Model, DataBatches]:
    """Read the data of a method, and trace the model for its batches if they have another size.

    Args:
      name: the method, for messages.
      model: the traced network.
      data: a tuple is one batch, the inputs of the model and then targets; an array or a
        dictionary is the input of one batch; any other iterable has batches.
      needs_targets: whether targets must be there.

    Returns:
      The model, traced with the inputs of one batch, and the batches.

    Raises:
      ValueError: if there is no batch, batches differ in their shapes, or one does not fit the
        model or is not finite.

    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: x @ w, jnp.ones((4, 3)), jnp.ones((2, 4)))
    >>> traced, batches = read_batches("lsuv", model, jnp.ones((8, 4)))
    >>> traced.inputs[0].shape, batches.length
    ((8, 4), 1)
    """
    found = [_read_batch(name, model, batch) for batch in _list_batches(data)]
    if not found:
        raise ValueError(f"{name}: the data has no batch; give at least one")
    if needs_targets and not found[0].targets:
        raise ValueError(
            f"{name}: the data has no targets; give (inputs, targets), or batches of both"
        )
    shapes = {str(jax.tree.map(jnp.shape, batch)) for batch in found}
    if len(shapes) > 1:
        raise ValueError(
            f"{name}: batches must have equal shapes, got {' and '.join(sorted(shapes)[:2])}; "
            "leave out a last batch that is smaller"
        )
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *found)
    return trace_for(model, found[0].inputs), stacked


def _list_batches(data: Any) -> list[Any]:
    is_batch = isinstance(data, tuple | dict) or hasattr(data, "shape")
    if not is_batch and not isinstance(data, Iterable):
        raise ValueError(
            f"the data must be an array, a batch (inputs, targets) or an iterable of batches, got "
            f"{type(data).__name__}"
        )
    return [data] if is_batch else list(data)


def _read_batch(name: str, model: Model, batch: Any) -> DataBatches:
    parts = batch if isinstance(batch, tuple) else (batch,)
    count = len(model.inputs)
    inputs = tuple(jax.tree.map(np.asarray, part) for part in parts[:count])
    for number, (given, traced) in enumerate(zip(inputs, model.inputs, strict=False)):
        _check_input(name, number, given, traced)
    if len(inputs) < count:
        raise ValueError(
            f"{name}: the model takes {count} inputs, got a batch of {len(inputs)}; give all of "
            "them, then targets if there are any"
        )
    targets = tuple(jax.tree.map(np.asarray, part) for part in parts[count:])
    return DataBatches(tuple(map(_canonical, inputs)), tuple(map(_canonical, targets)))


def _check_input(name: str, number: int, given: PyTree, traced: PyTree) -> None:
    seen, expected = _shapes(given, 1), _shapes(traced, 1)
    if seen != expected or jax.tree.structure(given) != jax.tree.structure(traced):
        raise ValueError(
            f"{name}: input {number} has the shapes {_shapes(given)}, and the model was traced "
            f"with {_shapes(traced)}; only the number of examples, axis 0, may differ"
        )
    for leaf in jax.tree.leaves(given):
        if leaf.dtype.kind == "f" and not np.isfinite(leaf).all():
            raise ValueError(f"{name}: input {number} has NaN or infinity; clean it first")


def _canonical(tree: PyTree) -> PyTree:
    """Return a tree with the widths that JAX uses."""
    return jax.tree.map(lambda leaf: leaf.astype(jax.dtypes.canonicalize_dtype(leaf.dtype)), tree)


def _shapes(tree: PyTree, first: int = 0) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape[first:]) for leaf in jax.tree.leaves(tree)]
