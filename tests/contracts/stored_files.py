"""Files of every kind that jinit stores: what writes them, and what reads them."""

import io
import json
import warnings
from pathlib import Path

import jax
import numpy as np
from report.synthetic import grid, lane, write_sweep
from synthetic_diagnosis import diagnosis

from jinit.calibrate.checkpoint import Checkpoint
from jinit.initializers import from_spec
from jinit.params_file import read_params_file, write_params_file
from jinit.report import Results
from jinit.stored_file import read_stored_bytes
from jinit.sweep.block import Block, BlockRun, Scores
from jinit.sweep.block_checkpoints import BlockCheckpoints
from jinit.sweep.lane_program import LaneState
from jinit.sweep.layout import BlockLayout
from jinit.sweep.saved_settings import save_settings
from jinit.sweep.store import Store


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
optional = true
[rules.initializer]
name = "truncated"
lower = -1.0
upper = 1.0
initializer = { name = "lecun_normal" }
[[rules]]
initializer = "he_normal"
"""

STATE = LaneState(*[np.arange(2.0, dtype=np.float32) for _ in LaneState._fields])
BLOCK = Block(0, (None, None))


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
    write_study(directory)
    (directory / "params").mkdir()
    write_params_file(directory / "params" / "0123456789abcdef.msgpack", PARAMS)


def read_params(directory: Path) -> None:
    """Read parameters, which are those that were saved or are refused."""
    found = Results(directory).params()
    jax.tree.map(np.testing.assert_array_equal, found, PARAMS)


def read_other_params(directory: Path) -> None:
    """Read parameters that someone else wrote, with their digest."""
    for file in directory.glob("params/*"):
        read_params_file(file)


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
        "initializer": {
            "name": "variance_scaling",
            "scale": 2.0,
            "mode": "fan_in",
            "distribution": "normal",
        },
        "lower": -1.0,
        "upper": 1.0,
    }
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
    write_report.callback(directory / "a.json", out, False, ())


def read_spec(directory: Path) -> None:
    try:
        data = json.loads(read_stored_bytes(directory / "spec.json"))
    except (OSError, ValueError, RecursionError):
        return
    from_spec(data)


def show(text: object) -> None:
    from rich.console import Console

    Console(file=io.StringIO(), width=80).print(text)
