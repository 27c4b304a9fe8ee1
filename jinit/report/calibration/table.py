"""The report of a method that initializes by data, as a table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jinit.report.extras import explain_missing_extra
from jinit.report.text import compact_text, escape_unprintable

if TYPE_CHECKING:
    from rich.table import Table

_DIGITS = 3
_NAME_WIDTH = 36
"""Width up to which the names of layers are not broken."""


def calibration_table(data: Mapping[str, Any]) -> "Table":
    """Return a table for rich, with a line per layer; its caption names what was left out.

    Args:
      data: plain data from `Report.to_dict()`.

    Raises:
      MissingExtraError: if rich is not installed.

    >>> data = {"method": "lsuv()", "layers": ["dense"], "statistics": {"variance after": [1.0]}}
    >>> calibration_table(data | {"skipped": {}, "passes": 3, "seconds": 1.0}).row_count
    1
    """
    with explain_missing_extra("A table"):
        from rich.table import Table
        from rich.text import Text
    table = Table(title=Text(_title(data)), title_justify="left", caption_justify="left")
    longest = max(map(len, data["layers"]), default=0)
    table.add_column("layer", overflow="fold", min_width=min(longest, _NAME_WIDTH))
    for name in data["statistics"]:
        table.add_column(name, justify="right")
    for place, layer in enumerate(data["layers"]):
        numbers = [compact_text(each[place], _DIGITS) for each in data["statistics"].values()]
        table.add_row(Text(escape_unprintable(layer)), *numbers)
    if data["skipped"]:
        lines = [f"skipped {name}: {reason}" for name, reason in data["skipped"].items()]
        table.caption = Text("\n".join(map(escape_unprintable, lines)))
    return table


def _title(data: Mapping[str, Any]) -> str:
    cost = f"{data['passes']:g} forward passes, {data['seconds']:.2g} s"
    return f"{escape_unprintable(data['method'])}: {cost}"
