"""The command line, `jinit`: one file per command. Only this room prints."""

from jinit.cli.main import main

__all__ = ["main"]
