"""The directory that a command writes the results of training to."""

from pathlib import Path


def check_new_directory(directory: Path) -> None:
    """Raise if results cannot be written to this directory, before any work is done.

    Raises:
      ValueError: if it holds files or cannot be created.
    """
    if directory.is_dir() and any(directory.iterdir()):
        raise ValueError(
            f"--out {directory}: this directory already holds files; name a new directory (its "
            f'results, if it has any, are read by jinit.Results("{directory}"))'
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--out {directory}: cannot create this directory ({error.strerror}); name one that "
            "you may write to"
        ) from error


def choose_directory(name: str) -> Path:
    """Return `runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3`, ... that is free."""
    directory, number = Path("runs") / name, 1
    while directory.exists():
        number += 1
        directory = directory.with_name(f"{name}-{number}")
    return directory
