"""A diagnosis as HTML for a notebook."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from jinit.report.diagnosis.columns import filled_columns, layer_cells, legend_text
from jinit.report.diagnosis.faults import (
    VERDICT_MEANINGS,
    FaultGroup,
    LayerData,
    group_faults,
    note_lines,
    rate_line,
)
from jinit.report.diagnosis.text import loss_text


def diagnosis_html(data: Mapping[str, Any]) -> str:
    """Return the HTML of a diagnosis: verdict, faults, notes, and a table of all layers.

    Args:
      data: plain data from `Diagnosis.to_dict()`.

    >>> data = {"verdict": "stable", "layers": [], "faults": [], "notes": [], "shares": {}}
    >>> diagnosis_html(data | {"loss": 2.3, "loss_name": "loss"})[:34]
    '<div><p><b>✓ stable</b>: signal an'
    """
    verdict = data["verdict"]
    mark = "✓" if verdict == "stable" else "✗"
    groups, rate = group_faults(data["faults"], data["layers"]), rate_line(data)
    return "".join(
        (
            f"<div><p><b>{mark} {escape(verdict)}</b>: {escape(VERDICT_MEANINGS[verdict])} ",
            f"({escape(loss_text(data))})</p>",
            *(_group_html(group) for group in groups),
            f"<p>{escape(rate)}</p>" if rate else "",
            _list_html(escape(note) for note in note_lines(data)),
            _layers_html(data["layers"]),
            "</div>",
        )
    )


def _group_html(group: FaultGroup) -> str:
    items = [f"<b>{escape(group.verdict)}</b> at {escape(group.where)}", escape(group.cause)]
    if group.cure:
        items.append(f"<code>{escape(group.cure)}</code>")
    return f"<p>{'<br>'.join(items)}</p>"


def _list_html(items: Iterable[str]) -> str:
    body = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{body}</ul>" if body else ""


def _layers_html(layers: Sequence[LayerData]) -> str:
    if not layers:
        return ""
    columns = filled_columns(layers)
    head = _row_html("th", [column.name for column in columns])
    rows = "".join(_row_html("td", layer_cells(layer, columns)) for layer in layers)
    count = f"{len(layers)} {'layer' if len(layers) == 1 else 'layers'}"
    return (
        f"<details><summary>{count}</summary><table><thead>{head}</thead><tbody>{rows}</tbody>"
        f"</table><p>{escape(legend_text(columns))}</p></details>"
    )


def _row_html(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
