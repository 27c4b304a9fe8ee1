"""Libraries that only the extras of jinit install."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtraError(ImportError):
    """A library of an optional extra is not installed; the message gives the command to type."""


@contextmanager
def explain_missing_extra(purpose: str, extra: str = "report") -> Iterator[None]:
    """Explain imports in the block that fail: what they are for, and how to install them.

    Args:
      purpose: what the import is for, as the subject of a sentence.
      extra: the extra of jinit that installs the library.

    Yields:
      Nothing.

    Raises:
      MissingExtraError: if an import in the block fails.

    >>> with explain_missing_extra("Drawing"):
    ...     import no_such_library
    Traceback (most recent call last):
    jinit.report.extras.MissingExtraError: Drawing needs no_such_library, which is not installed...
    """
    try:
        yield
    except ImportError as error:
        library = error.name or str(error)
        raise MissingExtraError(
            f"{purpose} needs {library}, which is not installed or cannot be imported; "
            f"install it with: pip install 'jinit[{extra}]'",
            name=error.name,
        ) from error
