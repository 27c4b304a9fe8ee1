"""The state of a block in training is saved, and an interrupted sweep goes on from it."""

import jax
import numpy as np
import pytest
from flax import linen as nn
from sweep.small import CLASSES, FEATURES, shallow, sweep, task
from sweep.test_resume import StopError, assert_equal_records, frame, stop_at

import jinit
from jinit.sweep import group_run

AXES = {"init": ["he_normal"], "lr": [1e-2, 1e-1, 1e30], "seeds": 2, "lanes": 3}
LONG = {"steps": 60, "record_every": 5, "steps_per_call": 5, "save": "all"}


def long_sweep(build=shallow, **options):
    return sweep(build, **AXES | LONG | options)


class Noisy(nn.Module):
    """BatchNorm and dropout: statistics and keys in every lane."""

    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(8, kernel_init=self.kernel_init)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x)


def stream():
    rng = np.random.default_rng(0)
    while True:
        inputs = rng.normal(size=(16, FEATURES)).astype(np.float32)
        yield inputs, rng.integers(0, CLASSES, 16)


CASES = {
    "plain": {},
    "state and keys": {"build": lambda config: Noisy(config["init"])},
    "a stream": {"on": lambda: jinit.Task("stream", stream, task().validation)},
    "patience": {"patience": 2},
    "layers at steps": {"measure_at": [10, 40]},
    "a loop of Python": {"executor": "loop", "lanes": None},
    "test examples": {"on": lambda: task(test=task().validation)},
}


def run_case(options, directory, progress=None, *, resumes=False):
    given = {name: each() if name == "on" else each for name, each in options.items()}
    one = long_sweep(**given)
    return (one.resume if resumes else one.run)(directory, progress)


@pytest.mark.few(1)
@pytest.mark.parametrize("case", [*CASES][::-1])
def test_a_block_goes_on_where_it_was_stopped(tmp_path, case):
    run_case(CASES[case], tmp_path / "whole")
    with pytest.raises(StopError):
        run_case(CASES[case], tmp_path / "run", stop_at(100))
    assert list((tmp_path / "run" / "checkpoints").glob("*.npz"))
    seen = []
    run_case(CASES[case], tmp_path / "run", seen.append, resumes=True)
    assert_equal_records(tmp_path / "run", frame(tmp_path / "whole"))
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
    whole, found = (jinit.Results(tmp_path / name) for name in ("whole", "run"))
    for row in whole.frame().to_dict("records"):
        jax.tree.map(np.testing.assert_array_equal, found.params(row), whole.params(row))


@pytest.mark.slow
def test_steps_are_not_trained_again(tmp_path, monkeypatch):
    with pytest.raises(StopError):
        long_sweep().run(tmp_path, stop_at(200))
    prepared, original = [], group_run.GroupRun.prepare

    def prepare(*arguments):
        prepared.append(original(*arguments))
        return prepared[-1]

    monkeypatch.setattr(group_run.GroupRun, "prepare", prepare)
    long_sweep().resume(tmp_path)
    assert sum(each.steps for each in prepared) >= 50


@pytest.mark.slow
def test_a_block_is_saved_now_and_then(tmp_path):
    """Without an interrupt that could be noticed: the process is lost."""
    seen = []

    def look(progress):
        if progress.stage == "training":
            seen.append(len(list((tmp_path / "checkpoints").glob("*.npz"))))

    long_sweep(checkpoint_minutes=1e-9, record_every=10).run(tmp_path, look)
    assert max(seen) >= 1
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "damage",
    [
        "bit",
        "layout",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("half", "empty", "foreign")),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_moved_aside(tmp_path, damage):
    long_sweep().run(tmp_path / "whole")
    with pytest.raises(StopError):
        long_sweep().run(tmp_path / "run", stop_at(100))
    file = next((tmp_path / "run" / "checkpoints").glob("*.npz"))
    content = bytearray(file.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    elif damage == "half":
        content = content[: len(content) // 2]
    elif damage == "empty":
        content = bytearray()
    elif damage == "foreign":
        content = bytearray(b"PK" + bytes(100))
    else:
        with pytest.raises(StopError):
            long_sweep(lanes=2).run(tmp_path / "other", stop_at(100))
        content = next((tmp_path / "other" / "checkpoints").glob("*.npz")).read_bytes()
    file.write_bytes(content)
    with pytest.warns(UserWarning, match=r"npz cannot be used \(.*\): it is now .*\.damaged"):
        long_sweep().resume(tmp_path / "run")
    assert file.with_suffix(".damaged").read_bytes() == bytes(content)
    assert_equal_records(tmp_path / "run", frame(tmp_path / "whole"))


@pytest.mark.parametrize("minutes", [0, -1.0, float("nan"), "10", True])
def test_minutes_that_cannot_work(minutes):
    with pytest.raises(ValueError, match=r"checkpoint_minutes=.*expected a number above 0"):
        long_sweep(checkpoint_minutes=minutes)
