"""Title, columns of words and meanings of columns, which all tables of a sweep share."""

from collections import Counter
from collections.abc import Sequence

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.outline import Outline
from jinit.report.sweep.sentences import tuned_axes_text
from jinit.report.text import UNKNOWN_TEXT, escape_unprintable

VERDICT_MEANING = "jinit.diagnose on the untrained network; many faults are harmless here"
OUTCOME_MEANING = (
    "did not learn: within 3 standard errors of a guess; unclear: the same, but a "
    "tenth of the way to a perfect run or more; slowly: nearer to a guess than to the best; "
    "diverged: NaN or infinity"
)
INTERVAL_MEANING = (
    "95 % interval of the mean over seeds; (lowest–highest) below 4 seeds or where the "
    "interval leaves 0 to 100 %"
)


def tuned_meaning(outline: Outline) -> str:
    """Return how tuned values were chosen.

    Args:
      outline: the outline of a sweep in which a tuned axis varies.

    >>> from jinit.report.sweep.metric import Metric
    >>> outline = Outline("digits", Metric("loss"), {"lr": [0.1, 1.0]}, (), (0,), 2, tune=("lr",))
    >>> tuned_meaning(outline)
    'learning rates: the best of each competitor by validation, chosen on the same runs'
    """
    axes = tuned_axes_text(outline.varying_tuned_axes)
    return f"{axes}: the best of each competitor by validation, chosen on the same runs"


def sweep_title(facets: Sequence[Facet], outline: Outline) -> str:
    """Return the task, the number of runs and that of seeds.

    Args:
      facets: the facets of the sweep.
      outline: its outline.

    >>> from jinit.report.sweep.metric import Metric
    >>> outline = Outline("digits", Metric("loss"), {"init": ["zeros"]}, ("init",), (0,), 1)
    >>> sweep_title((Facet({}, "", (), finished_runs=1),), outline)
    'digits: 1 run, 1 seed'
    """
    recorded = sum(facet.finished_runs for facet in facets)
    seeds, total = len(outline.seeds), outline.total_lanes
    runs = f"{total} {'run' if total == 1 else 'runs'}"
    runs = runs if recorded == total else f"{recorded} of {runs}"
    seeds_text = f"{seeds} {'seed' if seeds == 1 else 'seeds'}"
    return f"{escape_unprintable(outline.task)}: {runs}, {seeds_text}"


def label_header(outline: Outline) -> str:
    """Return the heading of the column of candidates.

    Args:
      outline: the outline of the sweep.

    >>> from jinit.report.sweep.metric import Metric
    >>> label_header(Outline("digits", Metric("loss"), {"init": ["zeros"]}, ("init",), (0,), 1))
    'initialization'
    """
    names = [axis for axis in outline.compare if _has_words(outline, axis)] or outline.compare
    header = ", ".join("initialization" if axis == "init" else axis for axis in names)
    return escape_unprintable(header) or "configuration"


def shown_axes(outline: Outline) -> tuple[str, ...]:
    """Return the axes with a column of numbers: besides the words that compete, those that vary.

    Args:
      outline: the outline of the sweep.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"init": ["zeros", "ones"], "lr": [0.1, 1.0]}
    >>> shown_axes(Outline("digits", Metric("loss"), axes, ("init",), (0,), 4, tune=("lr",)))
    ('lr',)
    """
    compared = [axis for axis in outline.compare if not _has_words(outline, axis)]
    shown = [*compared, *outline.tune] if len(compared) < len(outline.compare) else outline.tune
    return tuple(axis for axis in shown if axis in outline.varying_axes)


def word_texts(candidate: Candidate) -> tuple[str, str]:
    """Return the most common verdict at initialization and outcome of a candidate.

    Args:
      candidate: the candidate.

    >>> rows = ({"at_initialization": "stable", "outcome": "learned"},)
    >>> word_texts(Candidate({}, "ones", rows, {}, ()))
    ('stable', 'learned')
    """
    initial, outcome = (
        majority_text([str(row.get(column) or UNKNOWN_TEXT) for row in candidate.records])
        for column in ("at_initialization", "outcome")
    )
    return initial, outcome


def majority_text(words: Sequence[str]) -> str:
    """Return the most common word over seeds, with its count if they differ.

    >>> majority_text(["stable"] * 8), majority_text(["stable"] * 6 + ["exploding"] * 2)
    ('stable', 'stable 6/8')
    """
    if not words:
        return UNKNOWN_TEXT
    word, count = Counter(sorted(words)).most_common(1)[0]
    shown = escape_unprintable(word)
    return shown if count == len(words) else f"{shown} {count}/{len(words)}"


def _has_words(outline: Outline, axis: str) -> bool:
    return any(isinstance(value, str) for value in outline.axes[axis])
