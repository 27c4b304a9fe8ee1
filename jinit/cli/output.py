"""Output of all commands: exit codes, lines of text, tables, and files of plain data."""

import json
import sys
from pathlib import Path
from typing import Any

DONE, FAULTS_FOUND, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
INTERRUPTIONS = (INTERRUPTED, TERMINATED)
"""Exit codes after SIGINT (Ctrl-C) and SIGTERM."""

STANDARD_OUTPUT = "-"
"""The file name that stands for standard output."""


def print_line(text: str, *, to_errors: bool = False) -> None:
    """Print one line, with control characters made visible."""
    from jinit.report.text import escape_unprintable

    print(escape_unprintable(text), file=sys.stderr if to_errors else sys.stdout, flush=True)


def print_error(message: str) -> None:
    """Print what went wrong on standard error."""
    print(f"jinit: {message}", file=sys.stderr, flush=True)


def print_page(page: Any, *, to_errors: bool = False) -> None:
    """Print a table or page of rich, as wide as the terminal."""
    from rich.console import Console

    Console(stderr=to_errors).print(page, highlight=False)


def show_page(file: Path, *, opens: bool, to_errors: bool = False) -> None:
    """Print where a page is, and open it in the browser if that is wished."""
    print_line(f"Page: {file}", to_errors=to_errors)
    if opens:
        import webbrowser

        webbrowser.open(file.absolute().as_uri())


def write_json(file: str, data: Any) -> None:
    """Write plain data to a file, or to standard output if the file is `-`."""
    text = json.dumps(data, indent=1, default=_to_plain)
    if file == STANDARD_OUTPUT:
        print(text)
    else:
        Path(file).write_text(text + "\n", "utf-8")


def check_folder(option: str, file: str | Path | None) -> None:
    """Raise if the folder of a file that an option names does not exist.

    Raises:
      ValueError: if there is no such folder; the message names the option.
    """
    if file is None or str(file) == STANDARD_OUTPUT:
        return
    folder = Path(file).absolute().parent
    if not folder.is_dir():
        raise ValueError(
            f"{option} {file}: there is no directory {folder}; create it first, or name a "
            "file in another one"
        )


def _to_plain(value: Any) -> Any:
    """Return an array as a list, and everything else as its text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
