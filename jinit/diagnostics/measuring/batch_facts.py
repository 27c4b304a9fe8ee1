"""Size and defects of the inputs and the targets of a batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model import PyTree


class ArrayFacts(NamedTuple):
    """Sizes and defects of one array of a batch."""

    name: str
    """`input 0` or `target 0`, with the path of the array in a tree."""
    size: int
    nonfinite: int
    """Number of entries that are NaN or infinite."""
    rms: float
    """Root mean square of the finite entries."""
    nonzero_rms: float
    """Root mean square of the finite entries that are not zero; 0 without any."""
    largest: float
    """Largest absolute value of the finite entries."""
    column: int
    """Index along the last axis of the entries with the largest mean square."""
    column_rms: float
    """Root mean square of these entries; that of the whole array if it has one axis."""
    column_share: float
    """Share of these entries in the sum of squares; 0 if there is one column only."""


class BatchFacts(NamedTuple):
    """Facts about the arrays of numbers of a batch."""

    inputs: tuple[ArrayFacts, ...] = ()
    """Those of the floating-point inputs and of the integers, which may be pixels."""
    targets: tuple[ArrayFacts, ...] = ()
    """Those of the floating-point targets: integers are classes."""


def batch_facts(inputs: Sequence[PyTree], targets: Sequence[PyTree]) -> BatchFacts:
    """Return the facts about a batch.

    >>> facts = batch_facts([np.full((4, 2), 255.0)], [np.arange(4)])
    >>> facts.inputs[0].name, facts.inputs[0].rms, facts.targets
    ('input 0', 255.0, ())
    """
    return BatchFacts(
        inputs=_tree_facts("input", inputs, (jnp.floating, jnp.integer)),
        targets=_tree_facts("target", targets, (jnp.floating,)),
    )


def _tree_facts(name: str, trees: Sequence[PyTree], kinds: Sequence[Any]) -> tuple[ArrayFacts, ...]:
    facts = []
    for number, tree in enumerate(trees):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            is_counted = hasattr(leaf, "dtype") and np.size(leaf)
            if is_counted and any(jnp.issubdtype(leaf.dtype, kind) for kind in kinds):
                facts.append(_array_facts(f"{name} {number}{jax.tree_util.keystr(path)}", leaf))
    return tuple(facts)


def _array_facts(name: str, array: Any) -> ArrayFacts:
    """Return the facts about one array of at least one entry.

    Args:
      name: its name in messages.
      array: an array of numbers.
    """
    values = np.abs(np.asarray(jnp.asarray(array), np.float32))
    is_finite = np.isfinite(values)
    values = np.where(is_finite, values, 0)
    largest = float(values.max())
    scaled = values / largest if largest else values  # so that no square overflows
    squares = np.square(scaled).reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
    columns = squares.mean(0, dtype=np.float64)
    column, total = int(columns.argmax()), float(columns.sum())
    nonzero = np.count_nonzero(squares)
    return ArrayFacts(
        name=name,
        size=values.size,
        nonfinite=int(values.size - np.count_nonzero(is_finite)),
        rms=largest * float(np.sqrt(columns.mean())),
        nonzero_rms=largest * float(np.sqrt(columns.mean() * values.size / max(nonzero, 1))),
        largest=largest,
        column=column,
        column_rms=largest * float(np.sqrt(columns[column])),
        column_share=float(columns[column]) / total if total and len(columns) > 1 else 0.0,
    )
