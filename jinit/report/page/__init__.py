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
from jinit.report.page.formula import formula_markup, prose_markup
from jinit.report.page.lesson_blocks import (
    ActivationGain,
    Calculator,
    Formula,
    Prose,
    Question,
    Quiz,
    VarianceRule,
)
from jinit.report.page.plotly_text import LEGEND_ABOVE, chart_array, chart_text, log_axis

__all__ = [
    "LEGEND_ABOVE",
    "ActivationGain",
    "Calculator",
    "Chart",
    "DataTable",
    "Fold",
    "Formula",
    "Frame",
    "FrameChart",
    "Headline",
    "PageBlock",
    "Paragraphs",
    "Prose",
    "Question",
    "Quiz",
    "Section",
    "Snippet",
    "TableColumn",
    "VarianceRule",
    "chart_array",
    "chart_text",
    "check_page_path",
    "formula_markup",
    "log_axis",
    "prose_markup",
    "write_page",
]
