"""A table and sentences as HTML, for notebooks."""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jinit.report.extras import explain_missing_extra

if TYPE_CHECKING:
    from jinit.report.sweep.table import SweepTable

_COLUMNS = 110
_FORMAT = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'


def notebook_page(table: "SweepTable", sentences: Iterable[str]) -> str:
    """Return a table and the sentences below it as HTML.

    Args:
      table: the table.
      sentences: the sentences, one a line.

    Raises:
      MissingExtraError: if rich is not installed.

    >>> from jinit.report.sweep.metric import Metric
    >>> from jinit.report.sweep.outline import Outline
    >>> from jinit.report.sweep.table import SweepTable
    >>> axes = {"init": ["zeros"]}
    >>> outline = Outline("digits", Metric("validation_loss"), axes, ("init",), (0,), 1)
    >>> "use zeros" in notebook_page(SweepTable((), outline), ["use zeros"])
    True
    """
    with explain_missing_extra("A table"):
        from rich.console import Console
        from rich.text import Text
    console = Console(file=io.StringIO(), record=True, width=_COLUMNS, force_terminal=True)
    console.print(table)
    for sentence in sentences:
        console.print(Text(sentence))
    return console.export_html(inline_styles=True, code_format=_FORMAT)
