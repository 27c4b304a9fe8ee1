"""The parts of a page: text, tables and charts. All strings are shown as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jinit.report.page.lesson_blocks import Calculator, Formula, Prose, Quiz

PlotlyTraces = Sequence[Mapping[str, Any]]
"""Traces of plotly, https://plotly.com/javascript/reference."""
Cell = str | float | int | None | tuple[str, float]
"""A cell of a table: text, a number, nothing, or text with the number by which it is sorted."""


@dataclass(frozen=True)
class Paragraphs:
    """Paragraphs of text."""

    texts: Sequence[str]

    template: ClassVar[str] = "paragraphs"


@dataclass(frozen=True)
class Headline:
    """The answer of a page in one large sentence, with a few smaller ones below it."""

    answer: str
    details: Sequence[str] = ()
    tone: Literal["good", "bad", "neutral"] = "neutral"

    template: ClassVar[str] = "headline"


@dataclass(frozen=True)
class Snippet:
    """Code or a command, with a button that copies it."""

    code: str
    caption: str = ""

    template: ClassVar[str] = "snippet"


@dataclass(frozen=True)
class TableColumn:
    """A column of a table."""

    title: str
    help: str = ""
    """Description of the column, at its header."""
    digits: int = 3
    """Significant digits of numbers."""


@dataclass(frozen=True)
class DataTable:
    """A table that can be sorted by each column, and filtered by a word."""

    caption: str
    columns: Sequence[TableColumn]
    rows: Sequence[Sequence[Cell]]
    has_filter: bool = True
    """Whether there is a field for a word; a few rows need none."""

    template: ClassVar[str] = "table"


@dataclass(frozen=True)
class Chart:
    """A chart of plotly.

    Strings in traces and layout must come from `chart_text`, and arrays from `chart_array`.
    """

    label: str
    """A sentence on the content: the caption, and the text for screen readers."""
    traces: PlotlyTraces
    layout: Mapping[str, Any]
    height: int = 400
    """Height in pixels."""

    template: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Frame:
    """One state of a chart that a control changes."""

    name: str
    traces: PlotlyTraces
    layout: Mapping[str, Any]
    """Entries that differ from the layout of the chart."""
    sentence: str = ""
    """A sentence on this state, shown beside the control."""


@dataclass(frozen=True)
class FrameChart:
    """A chart with a slider or a list of choices, each of which shows another frame."""

    label: str
    control: str
    """The quantity that the control changes, such as `scale of the weights`."""
    frames: Sequence[Frame]
    layout: Mapping[str, Any]
    height: int = 400
    kind: Literal["slider", "choice"] = "choice"
    first: int = 0
    """Place of the frame that is shown first."""

    template: ClassVar[str] = "frames"


@dataclass(frozen=True)
class Fold:
    """Blocks behind a line that unfolds them."""

    summary: str
    blocks: Sequence["PageBlock"]

    template: ClassVar[str] = "fold"


PageBlock = (
    Paragraphs
    | Headline
    | Snippet
    | DataTable
    | Chart
    | FrameChart
    | Fold
    | Prose
    | Formula
    | Quiz
    | Calculator
)
"""A part of a section."""


@dataclass(frozen=True)
class Section:
    """A part of a page, with a title in its table of contents."""

    title: str
    blocks: Sequence[PageBlock]
