"""Pages as one HTML file that needs no network."""

import base64
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinit.report.extras import explain_missing_extra
from jinit.report.page.blocks import Chart, Fold, FrameChart, Section
from jinit.report.page.formula import formula_markup, prose_markup
from jinit.report.text import compact_text, escape_unprintable

if TYPE_CHECKING:
    from jinja2 import Environment

_ASSETS = Path(__file__).parent / "assets"
_PLOTLY = "plotly-cartesian.min.js"
_SUFFIXES = (".html", ".htm")


def check_page_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a page, checked before anything is computed.

    Args:
      path: the file to write.

    Raises:
      ValueError: if the suffix is not .html, or the folder does not exist.

    >>> check_page_path("report.pdf")
    Traceback (most recent call last):
    ValueError: cannot write report.pdf: expected a name that ends in .html, such as report.html
    """
    file = Path(path)
    name = escape_unprintable(str(file))
    if file.suffix.lower() not in _SUFFIXES:
        stem = escape_unprintable(file.stem or "report")
        raise ValueError(
            f"cannot write {name}: expected a name that ends in .html, such as {stem}.html"
        )
    if not file.absolute().parent.is_dir():
        raise ValueError(
            f"cannot write {name}: the folder {escape_unprintable(str(file.parent))} does not "
            "exist; create it, or give another path"
        )
    return file


def write_page(
    path: str | os.PathLike[str],
    title: str,
    sections: Sequence[Section],
    *,
    subtitle: str = "",
) -> Path:
    """Write a page: one file with its charts, styles and scripts, which needs no network.

    A policy in the page lets no other script run, and nothing be loaded.

    Args:
      path: the file to write, whose name ends in .html.
      title: title of the page.
      sections: the sections, of which those without blocks are left out.
      subtitle: a line below the title.

    Returns:
      The path.

    Raises:
      ValueError: if the name ends otherwise, or the file cannot be written.
      MissingExtraError: if Jinja is not installed.

    >>> import tempfile
    >>> from jinit.report.page.blocks import Paragraphs
    >>> section = Section("Answer", [Paragraphs(["Use <b>he_normal</b>."])])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = write_page(f"{folder}/a.html", "A sweep", [section]).read_text("utf-8")
    >>> "Use &lt;b&gt;he_normal&lt;/b&gt;." in text, "<h1>A sweep</h1>" in text
    (True, True)
    """
    file = check_page_path(path)
    shown = [section for section in sections if section.blocks]
    blocks = list(_flatten(section.blocks for section in shown))
    charts = [block for block in blocks if isinstance(block, Chart | FrameChart)]
    scripts = {"theme": _asset("theme.js"), "page": _asset("page.js")}
    if charts:
        scripts["plotly"] = _asset(_PLOTLY)
    block_scripts = sorted({name for block in blocks if (name := getattr(block, "script", None))})
    scripts |= {name: _asset(name) for name in block_scripts}
    text = (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            subtitle=subtitle,
            sections=shown,
            style=_asset("page.css"),
            scripts=scripts,
            block_scripts=block_scripts,
            policy=" ".join(f"'sha256-{_digest(script)}'" for script in scripts.values()),
            charts=_to_json([_chart_data(chart) for chart in charts]),
            next_chart=count().__next__,  # charts are rendered in their order
        )
    )
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise ValueError(
            f"cannot write {escape_unprintable(str(file))}: {error.strerror or error}; "
            "give another path"
        ) from error
    return file


def _flatten(groups: Iterable[Iterable[Any]]) -> Iterable[Any]:
    for group in groups:
        for block in group:
            yield block
            if isinstance(block, Fold):
                yield from _flatten([block.blocks])


@lru_cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text("utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    with explain_missing_extra("A report"):
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "printable": escape_unprintable,
        "cell_text": _cell_text,
        "cell_value": _cell_value,
        "formula": lambda text: formula_markup(text, is_block=True),
        "prose": prose_markup,
    }
    return environment


def _cell_text(cell: Any, digits: int) -> str:
    if isinstance(cell, tuple):
        cell = cell[0]
    if cell is None:
        return ""
    if isinstance(cell, str | bool):
        return escape_unprintable(str(cell))
    return str(cell) if isinstance(cell, int) else compact_text(float(cell), digits)


def _cell_value(cell: Any) -> str | None:
    """Return the number by which a cell is sorted; None if it is sorted as text."""
    value = cell[1] if isinstance(cell, tuple) else cell
    is_number = isinstance(value, int | float) and not math.isnan(value)
    return repr(float(value)) if is_number else None


def _chart_data(chart: Chart | FrameChart) -> dict[str, Any]:
    """Return what the script of the page draws."""
    if isinstance(chart, Chart):
        return {"layout": chart.layout, "frames": [{"traces": chart.traces, "layout": {}}]}
    frames = [
        {
            "traces": each.traces,
            "layout": each.layout,
            "name": escape_unprintable(each.name),
            "says": escape_unprintable(each.sentence),
        }
        for each in chart.frames
    ]
    return {"layout": chart.layout, "frames": frames, "first": chart.first}


def _to_json(data: Any) -> str:
    """Return plain data as JSON that may stand between two tags; NaN and infinity are null."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(name): _finite(each) for name, each in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(each) for each in data]
    if hasattr(data, "item"):  # a number of NumPy
        return _finite(data.item())
    return None if isinstance(data, float) and not math.isfinite(data) else data
