"""HTML pages as one file that needs no network: their parts, charts and tables."""

from jinit.report.page.blocks import (
    Chart,
    DataTable,
    Fold,
    Frame,
    FrameChart,
    Headline,
    PageBlock,
    Paragraphs,
    Section,
    Snippet,
    TableColumn,
)
from jinit.report.page.document import check_page_path, write_page
from jinit.report.page.plotly_text import chart_array, chart_text, log_axis

__all__ = [
    "Chart",
    "DataTable",
    "Fold",
    "Frame",
    "FrameChart",
    "Headline",
    "PageBlock",
    "Paragraphs",
    "Section",
    "Snippet",
    "TableColumn",
    "chart_array",
    "chart_text",
    "check_page_path",
    "log_axis",
    "write_page",
]
