"""Libraries that only the extras of jinit install."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtraError(ImportError):
    """A library of an optional extra is not installed; the message names the command that helps."""


@contextmanager
def needed_for(purpose: str) -> Iterator[None]:
    """Imports made inside that fail say what they were for and how to install what is missing.

    Args:
        purpose: what the import is for, as the subject of a sentence.

    Raises:
        MissingExtraError: when an import inside fails.

    >>> with needed_for("Drawing"):
    ...     import no_such_library
    Traceback (most recent call last):
    jinit.report.extras.MissingExtraError: Drawing needs no_such_library, which is not installed...
    """
    try:
        yield
    except ImportError as error:
        library = error.name or str(error)
        raise MissingExtraError(
            f"{purpose} needs {library}, which is not installed or does not import here; "
            "install it with: pip install 'jinit[sweep]'",
            name=error.name,
        ) from error
