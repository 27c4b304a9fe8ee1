"""Tables and sentences as HTML, for notebooks."""

import io
from typing import TYPE_CHECKING

from jinit.report.extras import explain_missing_extra

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLUMNS = 110
_FORMAT = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'


def notebook_page(*parts: "RenderableType") -> str:
    """Return tables and sentences as HTML, one below the other; all text is escaped.

    Args:
      parts: tables for rich, and sentences without markup.

    Raises:
      MissingExtraError: if rich is not installed.

    >>> "use [zeros] &amp; wait" in notebook_page("use [zeros] & wait")
    True
    """
    with explain_missing_extra("A table"):
        from rich.console import Console
        from rich.text import Text
    console = Console(file=io.StringIO(), record=True, width=_COLUMNS, force_terminal=True)
    for part in parts:
        console.print(Text(part) if isinstance(part, str) else part)
    return console.export_html(inline_styles=True, code_format=_FORMAT)
