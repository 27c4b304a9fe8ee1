"""Run the command line: read the arguments, call the command, turn errors into exit codes."""

import io
import sys
import traceback
from collections.abc import Sequence

from jinit.cli.output import BAD_INPUT, DONE, INTERRUPTED, print_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    The code is 0 if the command did its work, 1 if a diagnosis found a fault, 2 for bad input or a
    crash, and 130 if the command was interrupted.

    Args:
      arguments: arguments after `jinit`; those of the process by default.

    Returns:
      The exit code.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    jinit ...
    0
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack ★ or ±
            stream.reconfigure(errors="replace")
    try:
        from click import ClickException, UsageError
        from click.exceptions import Abort, Exit

        from jinit.cli.commands import commands
    except ImportError as error:
        print_error(
            f"the command line needs {error.name}, which is not installed; install it with: "
            "pip install 'jinit[sweep]'"
        )
        return BAD_INPUT
    try:
        code = commands.main(arguments, prog_name="jinit", standalone_mode=False)
    except Exit as stop:
        return stop.exit_code
    except (Abort, KeyboardInterrupt):
        print_error("interrupted")
        return INTERRUPTED
    except UsageError as error:
        error.show()
        return BAD_INPUT
    except ClickException as error:
        print_error(error.format_message())
        return BAD_INPUT
    except Exception as error:  # noqa: BLE001 - a crash must not look like a fault that was found
        return _explain(error)
    return code if isinstance(code, int) else DONE


def _explain(error: Exception) -> int:
    """Print one line for an error of jinit's own, and the traceback before it for all others."""
    expected = isinstance(error, ValueError | TypeError | ImportError)
    if not expected or not _is_raised_by_jinit(error):  # the line of the user's model matters
        traceback.print_exception(error)
    print_error(str(error) if expected else f"{type(error).__name__}: {error}")
    return BAD_INPUT


def _is_raised_by_jinit(error: BaseException) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__")).startswith("jinit")
