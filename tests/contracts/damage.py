# ruff: noqa: E501 - tables of values
"""What may happen to a file: damage to its bytes, its values, its columns, its arrays, its place."""

import contextlib
import hashlib
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

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
        return trap, ()


def trap():
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
