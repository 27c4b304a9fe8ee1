"""The parts of the data that the programs of a sweep use."""

import jax

from jinit.model import PyTree
from jinit.sweep.data import Data, as_struct
from jinit.sweep.network import PROBE_EXAMPLES


def data_parts(data: Data | None) -> dict[str, PyTree]:
    """Return the arrays that programs use: `train`, `validation`, `test`, `first` and `probe`.

    Layers are measured on the first training examples. The probe is the same, and lanes are scored
    on it before the first step; a stream has none.

    Args:
      data: the data; None if there is none.
    """
    if data is None:
        return dict.fromkeys(("train", "validation", "test", "first", "probe"))
    first = data.example_batch(PROBE_EXAMPLES)
    return {
        "train": None if data.is_stream else data.train,
        "validation": data.validation,
        "test": data.test,
        "first": first,
        "probe": None if data.is_stream else first,
    }


def data_structs(data: Data | None) -> dict[str, PyTree]:
    """Return the shapes and dtypes of `data_parts`."""
    return jax.tree.map(as_struct, data_parts(data))
