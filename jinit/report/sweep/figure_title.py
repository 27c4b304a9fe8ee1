"""The title of a figure of a sweep, in lines that fit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinit.report.sweep.outline import Outline
from jinit.report.sweep.sentences import tuned_axes_text
from jinit.report.text import escape_unprintable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT_COLOR = "#333333"

_SEPARATOR = "  ·  "
_CHARACTERS_PER_INCH = 14.0


def write_title(figure: "Figure", outline: Outline, seeds_text: str, parts: Sequence[str]) -> None:
    """Write the task, what is shown of the seeds, other parts, and which values were tuned.

    Args:
      figure: the figure.
      outline: the outline of the sweep.
      seeds_text: words for what is shown of several seeds.
      parts: other parts.

    >>> from matplotlib.figure import Figure
    >>> from jinit.report.sweep.metric import Metric
    >>> figure = Figure()
    >>> outline = Outline("digits", Metric("loss"), {"init": ["ones"]}, ("init",), (0, 1), 2)
    >>> write_title(figure, outline, "mean of 2 seeds", [])
    >>> figure.get_suptitle()
    'digits  ·  mean of 2 seeds'
    """
    texts = [escape_unprintable(outline.task)]
    texts += [seeds_text if len(outline.seeds) > 1 else "one seed", *parts]
    if outline.varying_tuned_axes:
        texts.append(f"{tuned_axes_text(outline.varying_tuned_axes)} chosen on the same runs")
    lines = [texts[0]]
    for text in texts[1:]:
        longer = f"{lines[-1]}{_SEPARATOR}{text}"
        if len(longer) <= _CHARACTERS_PER_INCH * figure.get_figwidth():
            lines[-1] = longer
        else:
            lines.append(text)
    figure.suptitle("\n".join(lines), parse_math=False, fontsize=10, color=TEXT_COLOR)
