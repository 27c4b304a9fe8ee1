"""One file per library: how each fills an array with random weights.

Every file has
- `LABEL`, the name shown in the table,
- `start()`, which brings the library up and runs something trivial,
- `sampler(distribution, shape, dtype)`, a function without arguments that draws once and returns
  when the values exist; it raises `UnsupportedError` with the reason where the library cannot,
- for the libraries that compile with XLA also `scratch_bytes(distribution, shape, dtype)`.

The distributions have one meaning everywhere: `normal` has mean 0 and standard deviation `SCALE`,
`truncated_normal` is the same cut at two standard deviations, `uniform` is on [0, SCALE).
"""

import importlib
from types import ModuleType

SCALE = 0.05

FILES = {
    "jinit": "draws.with_jinit",
    "jax": "draws.with_jax",
    "jax_jit": "draws.with_jax_jit",
    "torch": "draws.with_torch",
    "numpy": "draws.with_numpy",
    "keras": "draws.with_keras",
}


class UnsupportedError(Exception):
    """A library cannot draw this; the message says why and is shown in the table."""


def library(name: str) -> ModuleType:
    """The file of one library, or `UnsupportedError` if that library is not installed."""
    try:
        return importlib.import_module(FILES[name])
    except ModuleNotFoundError as missing:
        if name == "jinit" or missing.name != name.partition("_")[0]:
            raise
        raise UnsupportedError(f"{missing.name} is not installed") from missing
