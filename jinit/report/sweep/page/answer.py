"""The answer of a sweep: which initialization, how sure, and at which tuned values."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from jinit.report.page import DataTable, Headline, Section, TableColumn
from jinit.report.page.blocks import PageBlock
from jinit.report.sweep.comparison import FacetFinding
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.sweep.sentences import finding_text
from jinit.report.text import join_names

_MOST_HEADLINES = 4


def answer_section(sweep: SweepData) -> Section:
    """Return the answer for every facet: in large letters, or as a table if there are many.

    Args:
      sweep: the sweep.
    """
    findings = sweep.findings
    if len(findings) <= _MOST_HEADLINES:
        return Section("Answer", [_headline(finding) for finding in findings])
    return Section("Answer", [_summary(sweep), _answer_table(sweep)])


def _headline(finding: FacetFinding) -> Headline:
    text = finding_text(finding)
    names = [candidate.label for candidate in finding.facet.candidates]
    claim = f"{text.label}: {text.claim}" if text.label else _capital(text.claim, names)
    parts = [_capital(each, names) for each in (text.evidence, *text.notes) if each]
    return Headline(f"{claim}.", [f"{part}." for part in parts], _tone(finding))


def _capital(text: str, names: Sequence[str]) -> str:
    """Return a text that begins with a capital letter, unless it begins with a name."""
    return text if text.startswith(tuple(names)) else text[:1].upper() + text[1:]


def _tone(finding: FacetFinding) -> Literal["good", "bad", "neutral"]:
    if finding.is_clear:
        return "good"
    return "neutral" if finding.has_learned or finding.unclear else "bad"


def _summary(sweep: SweepData) -> PageBlock:
    """Return which candidates lead how many facets."""
    learned = [finding for finding in sweep.findings if finding.has_learned]
    leaders = Counter(finding.leader.name for finding in learned)
    count, clear = len(sweep.findings), sum(finding.is_clear for finding in learned)
    named = [f"{name} ({times})" for name, times in leaders.most_common()]
    answer = (
        f"Best mean of {count} settings: {join_names(named)}."
        if named
        else (f"No candidate learned better than guessing in any of {count} settings.")
    )
    detail = f"{clear} of {count} leaders are better than every other candidate of their setting."
    return Headline(answer, [detail] if named else [], "neutral" if named else "bad")


def _answer_table(sweep: SweepData) -> DataTable:
    columns = [TableColumn("setting"), TableColumn("sure", "better than every other candidate")]
    rows = []
    for finding in sweep.findings:
        text = finding_text(finding)
        sentence = text.sentence.removeprefix(f"{text.label}: ")
        rows.append([text.label, "yes" if finding.is_clear else "no", sentence])
    return DataTable("The finding of every setting.", [*columns, TableColumn("finding")], rows)
