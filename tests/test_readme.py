"""Documents are true: their Python blocks run, and command lines are what CI and users run."""

import doctest
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEST_LINE = (
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' "
    "&& .venv/bin/python -m pytest -n 2"
)
SWEEP_LINE = "python3 -m venv .venv && .venv/bin/pip install -q '.[sweep]' && .venv/bin/jinit sweep"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the line its text starts at, and the text."""

    language: str
    line: int
    text: str


def blocks(markdown: str) -> list[Block]:
    fences = re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    return [
        Block(match[1], markdown.count("\n", 0, match.start(2)) + 1, match[2]) for match in fences
    ]


def execute(block: Block, name: str) -> None:
    """Run a block in a namespace of its own: as a doctest if it shows prompts, else as a script."""
    namespace = {"__name__": "__readme__"}
    if ">>>" not in block.text:
        padding = "\n" * (block.line - 1)  # so that a traceback names the README's own line
        exec(compile(padding + block.text, name, "exec"), namespace)
        return
    test = doctest.DocTestParser().get_doctest(block.text, namespace, name, name, block.line - 1)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    doctest.DebugRunner(optionflags=options).run(test)


def commands(markdown: str) -> list[str]:
    """The lines of the shell blocks."""
    return [
        line
        for block in blocks(markdown)
        if block.language == "sh"
        for line in block.text.splitlines()
    ]


def readme() -> str:
    return README.read_text("utf-8") if README.exists() else ""


GUIDES = ROOT / ".github"
DOCUMENTS = [README, GUIDES / "HOW_TO_CHOOSE.md", GUIDES / "SHARP_BITS.md"]
PYTHON_BLOCKS = [
    pytest.param(document, block, id=f"{document.stem} line {block.line}")
    for document in DOCUMENTS
    for block in blocks(document.read_text("utf-8"))
    if block.language == "python"
]


@pytest.mark.parametrize(("document", "block"), PYTHON_BLOCKS)
def test_python_block_runs(document, block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute(block, str(document))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_a_document_shows_python(document):
    assert any(document in block.values for block in PYTHON_BLOCKS)


@pytest.mark.parametrize("line", [TEST_LINE, SWEEP_LINE])
def test_command_line_is_printed_once(line):
    assert commands(readme()).count(line) == 1
    assert readme().count(line) == 1


SAMPLE = """Text.
```python
x = 1
```
```sh
run me
```
```python
>>> x = 2
>>> x
2
```
"""


def test_blocks_are_found_with_their_lines():
    assert [(block.language, block.line) for block in blocks(SAMPLE)] == [
        ("python", 3),
        ("sh", 6),
        ("python", 9),
    ]
    assert commands(SAMPLE) == ["run me"]


def test_good_blocks_run():
    for block in blocks(SAMPLE):
        if block.language == "python":
            execute(block, "sample")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x = 1\nassert x == 2\n", AssertionError),
        ("x\n", NameError),
        (">>> 1 + 1\n3\n", doctest.DocTestFailure),
        (">>> x\n1\n", doctest.UnexpectedException),
    ],
)
def test_a_false_block_fails(text, error):
    with pytest.raises(error):
        execute(Block("python", 1, text), "sample")


def run_ci_on(markdown: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a copy of .ci/run beside a README of our own, whose line must fail to stop it there."""
    (directory / ".ci").mkdir()
    (directory / "README.md").write_text(markdown, "utf-8")
    script = shutil.copy(ROOT / ".ci" / "run", directory / ".ci" / "run")
    return subprocess.run([script], capture_output=True, text=True, check=False)


def test_ci_executes_the_test_line_of_the_readme(tmp_path):
    line = "python3 -m venv --help > ran.txt && exit 7 # -m pytest"
    done = run_ci_on(f"```sh\n{line}\n```\n", tmp_path)
    assert (tmp_path / "ran.txt").exists()
    assert done.returncode == 7
    assert done.stdout.splitlines()[-1] == "FAILED in stage: tests: the line of README.md"


@pytest.mark.parametrize("lines", ["", f"{TEST_LINE}\n{TEST_LINE}\n"])
def test_ci_refuses_a_readme_without_exactly_one_test_line(lines, tmp_path):
    done = run_ci_on(f"```sh\n{lines}```\n", tmp_path)
    assert done.returncode == 1
    assert "exactly one line" in done.stderr


def test_ci_would_find_the_test_line():
    found = [line for line in commands(readme()) if re.search("^python3 -m venv .*-m pytest", line)]
    assert found == [TEST_LINE]
