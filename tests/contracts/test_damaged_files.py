"""Whatever is on the disk, jinit says what is wrong: no crash, no hang, no code run, no data lost.

Each file of jinit is damaged in many ways and read by everything that reads it. A new kind of file
is one more line of `FILES`.
"""

import contextlib
import json
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pytest
from contracts.damage import BYTES, JSON, PLACES, SEALED, TABLES, Trap, sealed_bytes, trap, written
from contracts.stored_files import (
    BLOCK,
    block_checkpoints,
    read_block_checkpoint,
    read_checkpoint,
    read_layout,
    read_other_params,
    read_params,
    read_spec,
    report_diagnosis,
    show,
    write_block_checkpoint,
    write_checkpoint,
    write_diagnosis,
    write_layout,
    write_params,
    write_rules,
    write_settings,
    write_spec,
    write_study,
)
from sweep.small import linear
from sweep.small import sweep as small_sweep

from jinit.report import MissingExtraError, Results
from jinit.rules.toml import rules_from_toml
from jinit.sweep.block import Block
from jinit.sweep.saved_settings import read_saved_sweep
from jinit.sweep.settings import build_sweep
from jinit.sweep.study_status import read_status

SECONDS = 20
"""A reader that takes longer hangs."""


class HangError(BaseException):
    """A reader did not return."""


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    def stop(*_):
        raise HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def is_documented(error: BaseException, folder: Path, allowed: tuple[type, ...]) -> bool:
    """Return whether the error is a ValueError, or names the file; those of codecs are not."""
    if isinstance(error, UnicodeError | json.JSONDecodeError):
        return False
    if isinstance(error, OSError):
        return folder.name in str(error)
    return isinstance(error, (ValueError, MissingExtraError, *allowed))


class Kind(NamedTuple):
    """A kind of file, how it is damaged, and what reads it."""

    file: str
    """A glob, of which each case damages one file."""
    write: Callable[[Path], None]
    damage: tuple[Callable[[random.Random, bytes], bytes], ...]
    readers: tuple[Callable[[Path], Any], ...]
    share: float = 1.0
    """Cases in relation to others: those of slow readers are fewer."""
    allowed: tuple[type, ...] = ()
    """Exceptions that the docstring has besides."""


READERS = (
    Results,
    lambda path: Results(path).frame(),
    lambda path: Results(path).arrow(),
    lambda path: [str(each) for each in Results(path).best()],
    lambda path: Results(path).layers(),
    lambda path: show(Results(path).table()),
    lambda path: Results(path).comparison(),
    lambda path: Results(path).importance(),
    lambda path: Results(path).best("depth"),
    read_status,
)
PAGES = (
    lambda path: Results(path).report(path.with_name("page.html")),
    lambda path: Results(path).plot(),
    lambda path: Results(path)._repr_html_(),
)
FILES = {
    "outline": Kind("sweep.json", write_study, JSON, READERS, 2.0),
    "records": Kind("records/*.parquet", write_study, TABLES, READERS, 2.0),
    "outline on a page": Kind("sweep.json", write_study, JSON, PAGES, 0.1),
    "records on a page": Kind("records/*.parquet", write_study, TABLES, PAGES, 0.15),
    "layout": Kind("layouts/*.json", write_layout, JSON, (read_layout,)),
    "settings": Kind(
        "settings.json", write_settings, JSON, (lambda path: read_saved_sweep(path, None),), 0.3
    ),
    "study": Kind(
        "study.toml", write_settings, BYTES,
        (lambda path: build_sweep(path / "study.toml", {}),), 0.3,
    ),
    "block checkpoint": Kind(
        "checkpoints/*.npz", write_block_checkpoint, SEALED, (read_block_checkpoint,)
    ),
    "checkpoint": Kind("work.npz", write_checkpoint, SEALED, (read_checkpoint,)),
    "parameters": Kind("params/*", write_params, BYTES, (read_params,)),
    "parameters of others": Kind("params/*", write_params, (sealed_bytes,), (read_other_params,)),
    "diagnosis": Kind("a.json", write_diagnosis, JSON, (report_diagnosis,), 0.5),
    "rules": Kind(
        "rules.toml", write_rules, BYTES, (lambda path: rules_from_toml(path / "rules.toml"),),
        allowed=(TypeError,),
    ),
    "initializer": Kind("spec.json", write_spec, JSON, (read_spec,), allowed=(TypeError,)),
}  # fmt: skip


def contents(directory: Path) -> list[Any]:
    """The content of all files, and the kind of all else, wherever they are."""
    found = []
    for path in directory.rglob("*"):
        mode = path.lstat().st_mode
        is_file = path.is_file() and not path.is_symlink()
        found.append(path.read_bytes() if is_file else str(mode))
    return sorted(found, key=repr)


def check_case(kind: Kind, pristine: Path, scratch: Path, rng: random.Random) -> str:
    """Damage one file and read it with one reader; return what is wrong, or nothing."""
    directory = scratch / "damaged"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(pristine, directory)
    file = rng.choice(sorted(path for path in directory.glob(kind.file) if path.is_file()))
    content = file.read_bytes()
    damage: Any = rng.choice(kind.damage + PLACES[: 1 + len(kind.damage) // 20])
    if damage in PLACES:
        damage = rng.choice(PLACES)
        file.unlink()
        damage(file)
    else:
        file.write_bytes(damage(rng, content))
    before, reader = contents(directory), rng.choice(kind.readers)
    Trap.ran = False
    seen = ""
    try:
        with no_hang():
            reader(directory)
    except HangError:
        seen = "hangs"
    except BaseException as error:  # noqa: BLE001 - any other one is what is looked for
        if not is_documented(error, directory, kind.allowed):
            seen = f"{type(error).__name__}: {str(error)[:300]}"
    if Trap.ran:
        seen += " runs code"
    if contents(directory) != before:
        seen += " changes files"
    return seen and f"{damage.__name__} of {file.relative_to(directory)}: {seen}"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("pristine") / "study"
            FILES[name].write(made[name])
        return made[name]

    return make


def check(name: str, pristine: Path, scratch: Path, cases: range) -> None:
    kind, faults = FILES[name], {}
    for number in cases:
        if fault := check_case(kind, pristine, scratch, random.Random(f"{name} {number}")):
            faults[number] = fault
    assert not faults, "\n".join(f"case {number}: {text}" for number, text in faults.items())


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused_or_read(name, pristine, tmp_path):
    check(name, pristine(name), tmp_path, range(int(16 * FILES[name].share) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_many_damaged_files_are_refused_or_read(name, pristine, tmp_path):
    check(name, pristine(name), tmp_path, range(100, 100 + int(1300 * FILES[name].share)))


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_damaged_are_read(name, pristine):
    for reader in FILES[name].readers:
        reader(pristine(name))


def test_a_documented_error_names_what_is_wrong(tmp_path):
    """The table would notice: an undocumented exception, a change, and a reader that hangs."""
    write_layout(tmp_path / "study")
    kind = FILES["layout"]
    for reader, words in (
        (lambda path: {}["a"], "KeyError"),
        (lambda path: (path / "sweep.json").unlink(), "changes files"),
        (lambda path: trap(), "runs code"),
    ):
        seen = check_case(
            kind._replace(readers=(reader,)), tmp_path / "study", tmp_path, random.Random(0)
        )
        assert words in seen


def test_a_checkpoint_of_other_runs_is_not_used(tmp_path):
    """A file that was renamed has the right form, and the states of other configurations."""
    write_block_checkpoint(tmp_path)
    saved = block_checkpoints(tmp_path)
    first, second = (tmp_path / f"checkpoints/000-00000{number}.npz" for number in (0, 1))
    assert saved.read(BLOCK) is not None
    for number in (1, 2, 3):
        second.write_bytes(first.read_bytes() + bytes(number - 1))
        with pytest.warns(UserWarning, match=r"000-000001\.npz cannot be used"):
            assert saved.read(Block(1, BLOCK.lanes)) is None
    asides = sorted(tmp_path.glob("checkpoints/000-000001.damaged*"))
    assert [path.suffix for path in asides] == [".damaged", ".2", ".3"]
    assert len({path.read_bytes() for path in asides}) == 3


def test_a_small_file_of_many_rows_is_not_read(tmp_path):
    write_study(tmp_path / "study")
    file = tmp_path / "study/records/00000.parquet"
    file.write_bytes(written(pyarrow.table({"init": pyarrow.repeat("zeros", 500_000)})))
    assert file.stat().st_size < 100_000
    with pytest.raises(ValueError, match="it has 500000 rows for 4 runs"):
        Results(tmp_path / "study").frame()


@pytest.mark.slow
def test_a_sweep_whose_files_are_damaged_is_not_resumed(tmp_path):
    """Nothing that was recorded is changed; what can be used is gone on with."""

    def study():
        axes = {"init": ["zeros", "he_normal"], "lr": [0.1]}
        return small_sweep(linear, steps=4, seeds=2, lanes=2, save="none", **axes)

    study().run(tmp_path / "pristine")
    kinds = {
        "sweep.json": JSON,
        "records/*.parquet": TABLES,
        "layouts/*.json": JSON,
    }
    whole = Results(tmp_path / "pristine").frame()
    for number in range(48):
        rng = random.Random(f"resume {number}")
        directory = tmp_path / "damaged"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(tmp_path / "pristine", directory)
        name = list(kinds)[number % len(kinds)]
        file = min(directory.glob(name))
        file.write_bytes(rng.choice(kinds[name])(rng, file.read_bytes()))
        before = {path: path.read_bytes() for path in directory.glob("*/*") if path.is_file()}
        outline = (directory / "sweep.json").read_bytes()
        try:
            found: object = len(study().resume(directory).frame())
        except (ValueError, OSError) as error:
            found = len(whole) if is_documented(error, directory, ()) else repr(error)
        assert found == len(whole), f"case {number}: {name}"
        for path, content in before.items():
            assert path.read_bytes() == content
        assert (directory / "sweep.json").read_bytes() == outline
