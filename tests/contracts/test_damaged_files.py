# ruff: noqa: E501 - tables of values
"""Whatever is on the disk, jinit says what is wrong: it does not crash, hang, run code or lose data.

Each file of jinit is damaged in many ways and read by everything that reads it. A new kind of file
is one more line of `FILES`.
"""

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from report.synthetic import grid, lane, write_sweep
from sweep.small import linear
from sweep.small import sweep as small_sweep
from synthetic_diagnosis import diagnosis

from jinit.calibrate.checkpoint import Checkpoint
from jinit.initializers import from_spec
from jinit.report import MissingExtraError, Results
from jinit.rules.toml import rules_from_toml
from jinit.stored_file import read_stored_bytes
from jinit.sweep.block import Block, BlockRun, Scores
from jinit.sweep.block_checkpoints import BlockCheckpoints
from jinit.sweep.lane_program import LaneState
from jinit.sweep.layout import BlockLayout
from jinit.sweep.saved_settings import read_saved_sweep, save_settings
from jinit.sweep.settings import build_sweep
from jinit.sweep.store import Store
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
    """A fault of a file is a ValueError or names the file; codecs raise ValueErrors of their own."""
    if isinstance(error, UnicodeError | json.JSONDecodeError):
        return False
    if isinstance(error, OSError):
        return folder.name in str(error)
    return isinstance(error, (ValueError, MissingExtraError, *allowed))


# Damage to bytes.

Random = random.Random


def flip(rng: Random, content: bytes) -> bytes:
    damaged = bytearray(content or b"x")
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(rng: Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def cut_the_beginning(rng: Random, content: bytes) -> bytes:
    return content[rng.randrange(len(content) + 1) :]


def extend(rng: Random, content: bytes) -> bytes:
    return content + rng.randbytes(rng.randrange(1, 200))


def repeat(rng: Random, content: bytes) -> bytes:
    return content * 2


def empty(rng: Random, content: bytes) -> bytes:
    return b""


def noise(rng: Random, content: bytes) -> bytes:
    return rng.randbytes(rng.randrange(400))


def zeros(rng: Random, content: bytes) -> bytes:
    """Return a file with a hole, as a file system may leave it after a crash."""
    damaged = bytearray(content)
    first = rng.randrange(len(content) + 1)
    damaged[first : first + 512] = bytes(len(damaged[first : first + 512]))
    return bytes(damaged)


BYTES = (flip, flip, flip, cut, cut_the_beginning, extend, repeat, empty, noise, zeros)


# Damage to plain data: every value becomes any other.

STRANGE = (
    None, True, False, 0, 1, -1, 3, 0.5, -0.0, 10**6, 2**31, 2**63, -(2**63), 2**64, 10**30, 10**400,
    1e308, -1e308, 5e-324, float("nan"), float("inf"), -float("inf"), "", "a", "init", "lr", "zeros",
    "validation_loss", "seed", "\x00", "\ud800", "\x1b[31m", "../../etc/passwd", "os:system", "x" * 5000,
    [], {}, [[]], [None], [{}], {"name": "zeros"}, {"": None}, {"a": [1, {"b": None}]}, [1, "a", None],
    {"name": []}, {"low": 1, "high": "a"}, [float("nan")] * 3, ["zeros"], [0, 0],
)  # fmt: skip


def strange_value(rng: Random) -> Any:
    if rng.random() < 0.05:
        value: Any = rng.choice(([], {}, "deep"))
        for _ in range(rng.choice((10, 60, 70, 300))):
            value = rng.choice(([value], {"name": value}, {"a": value}))
        return value
    if rng.random() < 0.03:
        values = [json.dumps(rng.choice(STRANGE)) for _ in range(5)] * rng.choice((1, 500))
        return [json.loads(value) for value in values]
    return json.loads(json.dumps(rng.choice(STRANGE)))


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every container of plain data with each of its keys."""
    found, waiting = [], [data]
    while waiting:
        each = waiting.pop()
        keys = (
            each if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        )
        found += [(each, key) for key in keys]
        waiting += [each[key] for key in keys]
    return found


def mutate(rng: Random, data: Any) -> Any:
    data = json.loads(json.dumps(data))
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        found = places(data)
        if not found or rng.random() < 0.02:
            return strange_value(rng)
        container, key = rng.choice(found)
        change = rng.random()
        if change < 0.7:
            container[key] = strange_value(rng)
        elif change < 0.8:
            del container[key]
        elif change < 0.9 and isinstance(container, dict):
            container[rng.choice(("a", "", "seed", "init", "\ud800", "x" * 3000))] = container[key]
        else:
            other, name = rng.choice(found)
            container[key] = json.loads(json.dumps(other[name]))
    return data


def json_values(rng: Random, content: bytes) -> bytes:
    return json.dumps(mutate(rng, json.loads(content))).encode()


def json_text(rng: Random, content: bytes) -> bytes:
    return rng.choice(
        (
            b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b"\xff\xfe" + content, b"\xef\xbb\xbf" + content,
            b"null", b"NaN", b"[]", b"{}", b'""', b"1e999", content.decode().encode("utf-16"),
        )
    )  # fmt: skip


# Damage to Parquet files: other schemas, types, values and rows.

COLUMN_TYPES = (
    pyarrow.int8(), pyarrow.uint64(), pyarrow.float32(), pyarrow.float64(), pyarrow.string(),
    pyarrow.large_string(), pyarrow.binary(), pyarrow.bool_(), pyarrow.null(),
    pyarrow.list_(pyarrow.float64()), pyarrow.large_list(pyarrow.string()),
    pyarrow.list_(pyarrow.list_(pyarrow.int64())), pyarrow.struct([("a", pyarrow.int64())]),
    pyarrow.timestamp("ns"), pyarrow.decimal128(10, 2), pyarrow.float16(),
    pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), pyarrow.duration("s"),
    pyarrow.map_(pyarrow.string(), pyarrow.int64()), pyarrow.date32(),
)  # fmt: skip
CELLS = (
    None, 0, 1, -1, 2**62, 0.5, 1e308, -1e308, float("nan"), float("inf"), "", "zeros", "\x1b[31m",
    b"\xff", [], [None], [0.5], [1, 2, 3, 4], [float("nan")], [1e308, -1e308], ["a"], [[0.5], []], {"a": 1}, True,
)  # fmt: skip


def written(table: pyarrow.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, **options)
    return sink.getvalue()


def read(content: bytes) -> pyarrow.Table:
    return pyarrow.parquet.read_table(io.BytesIO(content))


def column_of_another_type(rng: Random, content: bytes) -> bytes:
    table, kind = read(content), rng.choice(COLUMN_TYPES)
    place = rng.randrange(table.num_columns)
    column = table.column(place)
    try:
        column = column.cast(kind)
    except pyarrow.ArrowException:
        value = {"binary": b"\xff", "string": "a"}.get(str(kind))
        try:
            column = pyarrow.array([value] * len(table), kind)
        except (pyarrow.ArrowException, TypeError):
            column = pyarrow.nulls(len(table), kind)
    return written(table.set_column(place, table.column_names[place], column))


def other_cells(rng: Random, content: bytes) -> bytes:
    table = read(content)
    place = rng.randrange(table.num_columns)
    for _ in range(30):
        values = table.column(place).to_pylist()
        for row in range(len(values)) if rng.random() < 0.5 else [rng.randrange(len(values))]:
            values[row] = rng.choice(CELLS)
        with contextlib.suppress(pyarrow.ArrowException, TypeError, ValueError):
            column = pyarrow.array(values, rng.choice((None, table.column(place).type)))
            return written(table.set_column(place, table.column_names[place], column))
    return content


def other_columns(rng: Random, content: bytes) -> bytes:
    table = read(content)
    name, other = rng.choice(table.column_names), rng.choice(table.column_names)
    changed = {
        "without": lambda: table.drop_columns([name]),
        "none": lambda: table.select([]),
        "twice": lambda: table.append_column(name, table[other]),
        "renamed": lambda: table.rename_columns(
            [other if each == name else each for each in table.column_names]
        ),
        "more": lambda: table.append_column(
            rng.choice(("outcome", "", "task", "x_by_step", "a_curve", "train_x_curve", "\x00")),
            table[other],
        ),
    }
    return written(changed[rng.choice(list(changed))]())


def other_rows(rng: Random, content: bytes) -> bytes:
    table = read(content)
    rows = [rng.randrange(len(table)) for _ in range(rng.choice((0, 1, len(table), 5)))]
    return written(
        table.take(pyarrow.array(rows, pyarrow.int64()))
        if rng.random() < 0.8
        else pyarrow.concat_tables([table] * 2)
    )


def another_table(rng: Random, content: bytes) -> bytes:
    table = pyarrow.table({"a": [1, 2], "seed": [0, 1]})
    bomb = pyarrow.table({"init": pyarrow.repeat("zeros", 2_000_000)})
    return written(rng.choice((table, table.select([]), bomb)))


TABLES = (*BYTES, column_of_another_type, other_cells, other_cells, other_columns, other_rows, another_table)  # fmt: skip


# Damage to files of arrays whose digest is right.

ARRAYS = (
    np.array(1.0), np.zeros(0), np.array([float("nan")]), np.array([2**62]), np.array([-1]), np.array("x"),
    np.array([b"[1"]), np.zeros((3, 0)), np.ones(3, complex), np.array(["2020"], "M8[D]"),
    np.zeros(2, [("a", "f4")]), np.frombuffer(b"[[[", np.uint8), np.frombuffer(b"\xff", np.uint8),
    np.frombuffer(b"[1]", np.uint8), np.frombuffer(b"[" * 5000, np.uint8), np.array([1e300]), np.array(np.inf),
)  # fmt: skip


def sealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def sealed_bytes(rng: Random, content: bytes) -> bytes:
    """Return a damaged archive with a digest of its own, as a hostile hand would."""
    return sealed(rng.choice(BYTES)(rng, content[:-32]))


def other_arrays(rng: Random, content: bytes) -> bytes:
    with np.load(io.BytesIO(content[:-32]), allow_pickle=False) as archive:
        arrays = dict(archive)
    name, other = rng.choice(list(arrays)), rng.choice(list(arrays))
    change = rng.random()
    if change < 0.6:
        arrays[name] = rng.choice(ARRAYS)
    elif change < 0.7:
        del arrays[name]
    elif change < 0.8:
        arrays[name] = arrays[other]
    elif change < 0.9:
        label = rng.choice(
            ("9/x", "x", '["a"]', '["metrics", []]', "[", '["measured", "x"]', "²/x")
        )
        arrays[label] = arrays[f"{label} at"] = rng.choice(ARRAYS)
    else:
        arrays[name] = arrays[name].astype(rng.choice(("f2", "i8", "S3", "U2", "c8")))
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return sealed(stream.getvalue())


class Trap:
    """An object whose unpickling is noticed."""

    ran = False

    def __reduce__(self):
        return _spring, ()


def _spring():
    Trap.ran = True


def pickled(rng: Random, content: bytes) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, about=np.array([Trap()], object))
    return sealed(stream.getvalue())


def archive_bomb(rng: Random, content: bytes) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, about=np.zeros(2**22))
    return sealed(stream.getvalue())


SEALED = (*BYTES, sealed_bytes, sealed_bytes, other_arrays, other_arrays, other_arrays, pickled, archive_bomb)  # fmt: skip
JSON = (*BYTES, *[json_values] * 20, json_text)


# Damage to the place of a file.


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def link_to_a_folder(path: Path) -> None:
    path.symlink_to(path.parent)


def dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_a_pipe(path: Path) -> None:
    if not path.with_name("pipe").exists():
        os.mkfifo(path.with_name("pipe"))
    path.symlink_to(path.with_name("pipe"))


PLACES = (pipe, folder, link_to_a_folder, dangling_link, link_to_itself, device, link_to_a_pipe)


# What jinit writes, and what reads it.


def write_study(directory: Path) -> None:
    """Write a sweep of four runs, whose records have every kind of column."""
    axes = {"init": ["zeros", "he_normal"], "depth": [2], "lr": [0.1]}
    measured = {"measured_at": [5], "activation_std_by_step": [[0.5, 0.25]]}
    rows = grid(axes, 2, lambda config, seed: lane(config, seed, 0.5 + 0.2 * seed, **measured))
    write_sweep(directory, axes, rows, block=2)


def write_layout(directory: Path) -> None:
    write_study(directory)
    store = Store(directory, resumes=True)
    store.agree_on_layout(0, BlockLayout(2, 1))
    store.close()
    (directory / ".writer").unlink()


def write_settings(directory: Path) -> None:
    study = directory / "study.toml"
    directory.mkdir(exist_ok=True)
    study.write_text(STUDY)
    save_settings(directory, study, {"depth": 2, "seeds": 2})


STUDY = """
task = "digits"
network = "mlp"
optimizer = "adam"
batch_size = 32
width = 8
seeds = 2
steps = 20
record_every = 5
measure_at = [10]
metric = "validation_loss"
search = "random"
configurations = 3
[space]
init = ["zeros", {name = "normal", stddev = 0.1}, {name = "lsuv", tolerance = 0.1}]
activation = ["relu"]
depth = [1, 2]
lr = {low = 1e-3, high = 1e-1, log = true}
l2 = [0.0]
"""
RULES = """
[[rules]]
initializer = { name = "normal", stddev = 0.02 }
path = "**/head/**"
regex = "head"
role = "kernel"
shape = ["*", 8]
axes = ["in", "out"]
depth = [0, 3]
branch = true
[[rules]]
initializer = { name = "truncated", initializer = { name = "normal", stddev = 1.0 }, lower = -1.0, upper = 1.0 }
optional = true
[[rules]]
initializer = "he_normal"
"""

STATE = LaneState(*[np.arange(2.0, dtype=np.float32) for _ in LaneState._fields])
BLOCK = Block(0, (None, None))  # type: ignore[arg-type]


def block_checkpoints(directory: Path) -> BlockCheckpoints:
    structs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), STATE)
    return BlockCheckpoints(directory, 0, "study", structs, 1.0)


def write_block_checkpoint(directory: Path) -> None:
    scores = {"train_loss": np.ones(2)}
    never = np.full(2, -1)
    history = [
        Scores(1, scores, never, {"activation_std": np.ones((2, 3))}),
        Scores(2, scores, never, {}),
    ]
    block_checkpoints(directory).save(BlockRun(BLOCK, STATE, 10, history=history))


def read_block_checkpoint(directory: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        saved = block_checkpoints(directory).read(BLOCK)
    assert all("cannot be used" in str(each.message) for each in caught)
    if saved is not None:
        for scores in saved.history:
            assert isinstance(scores.step, int)
            assert all(each.shape[0] == 2 for each in scores.metrics.values())


IDENTITY = {"method": "rbm()", "data": "0" * 64}


def write_checkpoint(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    checkpoint = Checkpoint("rbm", directory / "work.npz", lambda: IDENTITY)
    checkpoint.note(0, 5, {"a": np.ones(3)}, 1.0, is_end=True)
    checkpoint.note(1, 2, {"b": np.ones(2)}, 1.0, is_end=True)


def read_checkpoint(directory: Path) -> None:
    checkpoint = Checkpoint("rbm", directory / "work.npz", lambda: IDENTITY)
    for place, name, size in ((0, "a", 3), (1, "b", 2)):
        checkpoint.restore(place, 5, {name: jax.ShapeDtypeStruct((size,), np.float64)})
    assert np.isfinite(checkpoint.seconds)


PARAMS = {"dense": {"kernel": np.arange(6.0).reshape(2, 3), "bias": np.zeros(3, np.float32)}}


def write_params(directory: Path) -> None:
    import orbax.checkpoint

    write_study(directory)
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(directory.absolute() / "params" / "0123456789abcdef", PARAMS)


def read_params(directory: Path) -> None:
    """Read parameters, which are those that were saved or are refused."""
    found = Results(directory).params()
    jax.tree.map(np.testing.assert_array_equal, found, PARAMS)


def write_diagnosis(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "a.json").write_text(json.dumps(diagnosis()))


def write_rules(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "rules.toml").write_text(RULES)


def write_spec(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    spec = {
        "name": "truncated",
        "initializer": {"name": "variance_scaling", "scale": 2.0, "mode": "fan_in", "distribution": "normal"},
        "lower": -1.0,
        "upper": 1.0,
    }  # fmt: skip
    (directory / "spec.json").write_text(json.dumps(spec))


def read_layout(directory: Path) -> None:
    store = Store(directory, resumes=True)
    try:
        store.read_layout(0)
    finally:
        store.close()
        (directory / ".writer").unlink()


def report_diagnosis(directory: Path) -> None:
    from jinit.cli.report import write_report

    out = directory.with_name("page.html")
    write_report.callback(directory / "a.json", out, False, ())  # type: ignore[misc]


def read_spec(directory: Path) -> None:
    try:
        data = json.loads(read_stored_bytes(directory / "spec.json"))
    except (OSError, ValueError, RecursionError):
        return
    from_spec(data)


def show(text: object) -> None:
    from rich.console import Console

    Console(file=io.StringIO(), width=80).print(text)


class Kind(NamedTuple):
    """A kind of file, how it is damaged, and what reads it."""

    file: str
    """A glob, of which each case damages one file."""
    write: Callable[[Path], None]
    damage: tuple[Callable[[Random, bytes], bytes], ...]
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
        "study.toml", write_settings, BYTES, (lambda path: build_sweep(path / "study.toml", {}),), 0.3
    ),
    "block checkpoint": Kind(
        "checkpoints/*.npz", write_block_checkpoint, SEALED, (read_block_checkpoint,)
    ),
    "checkpoint": Kind("work.npz", write_checkpoint, SEALED, (read_checkpoint,)),
    "parameters": Kind("params/*/**/*", write_params, BYTES, (read_params,), 0.3),
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


def check_case(kind: Kind, pristine: Path, scratch: Path, rng: Random) -> str:
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


# Orbax leaves tasks behind whose exceptions nobody asks for, in a loop that is closed.
leaves_tasks = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


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


@leaves_tasks
@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused_or_read(name, pristine, tmp_path):
    check(name, pristine(name), tmp_path, range(int(16 * FILES[name].share) + 1))


@pytest.mark.slow
@leaves_tasks
@pytest.mark.parametrize("name", FILES)
def test_many_damaged_files_are_refused_or_read(name, pristine, tmp_path):
    check(name, pristine(name), tmp_path, range(100, 100 + int(1300 * FILES[name].share)))


@leaves_tasks
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
        (lambda path: _spring(), "runs code"),
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
