"""Docstrings can be read by tools, name the arguments that there are, and keep to plain English."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import griffe
import pytest

ROOT = Path(__file__).parents[1]

# Openings and phrases that a reader has to read twice.
HARD_TO_READ = (
    r"^(Of|By|In what|What|As|The same|Likewise|Like that)\b",
    r"\b(is|are) no [A-Z]",
    r"\bso many\b",
    r"\bgoes in and\b",
    r"\bat hand\b",
    r"\bone's own\b",
    r"\bas it is[.,;]",
    r"\bArgs and errors\b",
    r"–,|, –",
)


def package() -> griffe.Module:
    """jinit as griffe reads it off its sources, without importing it."""
    loader = griffe.GriffeLoader(search_paths=[ROOT])
    module = loader.load("jinit")
    assert isinstance(module, griffe.Module)
    return module


def members(parent: griffe.Object) -> Iterator[griffe.Object]:
    """Every module, class, function and attribute below."""
    for member in parent.members.values():
        if isinstance(member, griffe.Object):
            yield member
            yield from members(member)


def sections(each: griffe.Object) -> tuple[list[griffe.DocstringSection], list[str]]:
    """The sections of a docstring, and the parser's complaints."""
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    logger = logging.getLogger("griffe")
    logger.addHandler(handler)
    try:
        assert each.docstring is not None
        found = each.docstring.parse("google", warn_missing_types=False)
    finally:
        logger.removeHandler(handler)
    return found, [line for line in seen if "No type or annotation" not in line]


def faults(each: griffe.Object) -> Iterator[str]:
    """What a tool or a reader stumbles over in one docstring."""
    if each.docstring is None:
        return
    place = f"{each.path}:{each.lineno}"
    found, complaints = sections(each)
    yield from (f"{place}: {line}" for line in complaints)
    summary = each.docstring.value.strip().partition("\n")[0]
    for pattern in HARD_TO_READ:
        text = summary if pattern.startswith("^") else each.docstring.value
        if match := re.search(pattern, text):
            yield f"{place}: {match[0]!r} in {summary!r}"
    is_property = isinstance(each, griffe.Attribute) or "property" in each.labels
    if summary.startswith("Whether") and not is_property:
        yield f"{place}: a function returns whether: {summary!r}"
    for section in found:
        if section.kind is griffe.DocstringSectionKind.parameters:
            yield from wrong_arguments(each, place, [item.name for item in section.value])


def wrong_arguments(each: griffe.Object, place: str, named: list[str]) -> Iterator[str]:
    """Differences between the arguments of a section and those of the signature."""
    function = each.members.get("__init__") if isinstance(each, griffe.Class) else each
    if isinstance(function, griffe.Function):
        names = [item.name for item in function.parameters if item.name not in ("self", "cls")]
    elif isinstance(each, griffe.Class):
        names = [name for name, item in each.members.items() if isinstance(item, griffe.Attribute)]
    else:
        return
    expected = [name for name in names if not name.startswith("_")]
    if [name.lstrip("*") for name in named] != expected:
        yield f"{place}: documents {named}, but takes {expected}"


def test_every_docstring_of_jinit_reads_well():
    lines = [line for each in members(package()) for line in faults(each)]
    assert lines == []


BAD = [
    ('"""Of a kernel, its size."""', "'Of'"),
    ('"""Draw.\n\n    It is no Model.\n    """', "is no M"),
    ('"""Whether it is."""', "a function returns whether"),
    ('"""Draw.\n\n    Args:\n      a: one; b: another.\n    """', "documents"),
    ('"""Draw.\n\n    Args:\n      c: one.\n    """', "documents"),
    ('"""Draw.\n\n    Args:\n      a one.\n    """', "Failed to get"),
]


@pytest.mark.parametrize(("docstring", "complaint"), BAD)
def test_a_fault_is_seen(docstring, complaint):
    source = f"def draw(a, b):\n    {docstring}\n"
    with griffe.temporary_visited_module(source) as module:
        found = list(faults(module["draw"]))
    assert any(complaint in line for line in found), found


def test_a_good_docstring_has_no_fault():
    text = '"""Draw.\n\n    Args:\n      a: the first.\n      b: the second.\n    """'
    with griffe.temporary_visited_module(f"def draw(a, b):\n    {text}\n") as module:
        assert list(faults(module["draw"])) == []
