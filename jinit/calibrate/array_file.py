"""Files of plain arrays with their digest, which are written completely or not at all."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jinit.stored_file import read_with_digest, write_with_digest

# What NumPy and zipfile raise for an archive of another kind.
_FAULTS = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def write_array_file(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays in NumPy's .npz format, and then the SHA-256 digest of these bytes.

    Args:
      file: the file; it is replaced if it exists.
      arrays: the arrays by name.

    Raises:
      OSError: if the file cannot be written.
    """
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_with_digest(file, stream.getvalue())


def read_array_file(file: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file, which is parsed only if it has its digest. No code is run.

    Args:
      file: a file that `write_array_file` wrote.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it is another file, or it is damaged.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "ones"
    >>> write_array_file(file, {"a": np.ones(2)})
    >>> read_array_file(file)
    {'a': array([1., 1.])}
    """
    content = read_with_digest(file)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return dict(archive)
    except _FAULTS as error:
        raise ValueError("is not a checkpoint of jinit") from error
