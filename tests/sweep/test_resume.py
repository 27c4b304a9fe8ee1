"""A sweep that was interrupted goes on to the records of an uninterrupted one, bit for bit."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from sweep import interrupted
from sweep.interrupted import build, study

import jinit
from jinit.record import OUTLINE_FILE, RECORDS_FOLDER

TIMES = ["devices", "init_seconds", "compile_seconds", "run_seconds", "started_at", "git_revision"]
STUDY = interrupted.__file__


class StopError(Exception):
    """Raised in the middle of a sweep."""


def frame(directory):
    """The records without times, in one order."""
    found = jinit.Results(directory).frame()
    return found.drop(columns=[name for name in TIMES if name in found])


def assert_equal_records(directory, expected):
    found = frame(directory)
    assert list(found.columns) == list(expected.columns)
    for name in found:
        for one, other in zip(found[name], expected[name], strict=True):
            np.testing.assert_equal(plain(one), plain(other), err_msg=name)


def plain(value):
    """Arrays as lists, at all levels."""
    return [plain(each) for each in value] if isinstance(value, np.ndarray) else value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The directory and the records of the sweep that was not interrupted."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    study().run(directory)
    return directory, frame(directory)


def stop_at(lane_steps):
    """A progress that stops the sweep when this many lane-steps are done."""

    def show(progress):
        if progress.stage == "training" and progress.lane_steps >= lane_steps:
            raise StopError

    return show


@pytest.mark.few(1)
@pytest.mark.parametrize("lane_steps", [1, 241, 480])
def test_the_records_are_those_of_an_uninterrupted_sweep(tmp_path, whole, lane_steps):
    sweep, directory = study(), tmp_path / "run"
    with pytest.raises(StopError):
        sweep.run(directory, stop_at(lane_steps))
    sweep.resume(directory)
    assert_equal_records(directory, whole[1])
    best = jinit.Results(directory).params()
    jax.tree.map(np.testing.assert_array_equal, best, jinit.Results(whole[0]).params())


def test_a_finished_sweep_is_not_trained_again(whole):
    before = {file: file.stat().st_mtime_ns for file in whole[0].rglob("*.parquet")}
    stages = []
    study().resume(whole[0], lambda progress: stages.append(progress.stage))
    assert {file: file.stat().st_mtime_ns for file in whole[0].rglob("*.parquet")} == before
    assert not any(stage.startswith(("compiling", "training")) for stage in stages)


def test_a_lost_block_is_trained_again(tmp_path, whole):
    directory = tmp_path / "run"
    shutil.copytree(whole[0], directory)
    lost = sorted((directory / RECORDS_FOLDER).glob("*.parquet"))[1]
    lost.unlink()
    (directory / RECORDS_FOLDER / "000-000001.parquet.x.partial").write_bytes(b"half of a block")
    study().resume(directory)
    assert_equal_records(directory, whole[1])


def test_parameters_of_the_best_run_that_were_lost_are_trained_again(tmp_path, whole):
    directory = tmp_path / "run"
    shutil.copytree(whole[0], directory)
    shutil.rmtree(directory / "params")
    study().resume(directory)
    assert_equal_records(directory, whole[1])
    best = jinit.Results(directory).params()
    jax.tree.map(np.testing.assert_array_equal, best, jinit.Results(whole[0]).params())


def test_parameters_that_cannot_be_saved_lose_no_record(tmp_path, whole, monkeypatch):
    def fail(file, params):
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    with monkeypatch.context() as patch:
        patch.setattr("jinit.sweep.params_store.write_params_file", fail)
        with pytest.raises(OSError, match=r"No space left on device.*\. All runs that were rec"):
            study().run(tmp_path / "run")
    study().resume(tmp_path / "run")
    assert_equal_records(tmp_path / "run", whole[1])
    best = jinit.Results(tmp_path / "run").params()
    jax.tree.map(np.testing.assert_array_equal, best, jinit.Results(whole[0]).params())


@pytest.mark.slow
def test_a_race_by_halving_goes_on(tmp_path):
    space = jinit.halving(
        jinit.grid(init=["he_normal", "zeros"], depth=[1], lr=[1e-2, 1e-1]), eta=2, rungs=2
    )

    def sweep():
        task = jinit.tasks.digits()
        return jinit.Sweep(task, build, space, seeds=2, steps=32, record_every=8)

    sweep().run(tmp_path / "whole")
    with pytest.raises(StopError):
        sweep().run(tmp_path / "run", stop_at(130))
    sweep().resume(tmp_path / "run")
    assert_equal_records(tmp_path / "run", frame(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 60}, r"differs in steps \(30 there, 60 here\)"),
        ({"seeds": 3}, r"differs in seeds \(\[0, 1\] there, \[0, 1, 2\] here\)"),
        ({"optimizer": __import__("optax").sgd}, "differs in computations"),
    ],
)
def test_another_sweep_is_refused_and_nothing_is_changed(tmp_path, whole, options, words):
    before = sorted(whole[0].rglob("*"))
    with pytest.raises(ValueError, match=words):
        study(**options).resume(whole[0])
    assert sorted(whole[0].rglob("*")) == before


def test_damaged_files_are_named(tmp_path, whole):
    def damaged(name, content):
        directory = tmp_path / name.replace("/", "-")
        shutil.copytree(whole[0], directory, dirs_exist_ok=True)
        (directory / name).write_bytes(content)
        return directory

    records = f"{RECORDS_FOLDER}/000-000000.parquet"
    half = (whole[0] / records).read_bytes()[:500]
    with pytest.raises(ValueError, match=r"000-000000\.parquet cannot be read as Parquet"):
        study().resume(damaged(records, half))
    with pytest.raises(ValueError, match=r"sweep\.json is not JSON"):
        study().resume(damaged(OUTLINE_FILE, b"{"))
    valid = json.loads((whole[0] / "layouts/000.json").read_text())
    other = json.dumps(valid | {"tiles": valid["tiles"] + 1})
    for text in ("{", "[]", '{"tiles": 1}', other):
        with pytest.raises(ValueError, match=r"layouts/000\.json cannot be read"):
            study(seeds=2).resume(without_a_block(damaged("layouts/000.json", text.encode())))
    outline = json.loads((whole[0] / OUTLINE_FILE).read_text())
    del outline["study"]
    with pytest.raises(ValueError, match="an older version of jinit wrote it"):
        study().resume(damaged(OUTLINE_FILE, json.dumps(outline).encode()))


def without_a_block(directory):
    next((directory / RECORDS_FOLDER).glob("000-*.parquet")).unlink(missing_ok=True)
    return directory


def test_a_lost_layout_is_named(tmp_path, whole):
    directory = tmp_path / "run"
    shutil.copytree(whole[0], directory)
    shutil.rmtree(directory / "layouts")
    next((directory / RECORDS_FOLDER).glob("000-*.parquet")).unlink()
    with pytest.raises(ValueError, match=r"layouts/00\d\.json does not exist, though runs are rec"):
        study().resume(directory)


def test_records_of_another_sweep_are_refused(tmp_path, whole):
    directory = tmp_path / "run"
    shutil.copytree(whole[0], directory)
    study(seeds=[7]).run(tmp_path / "other")
    other = next((tmp_path / "other" / RECORDS_FOLDER).glob("*.parquet"))
    shutil.copy(other, directory / RECORDS_FOLDER / "000-000009.parquet")
    with pytest.raises(ValueError, match="records of runs that this sweep does not have"):
        study().resume(directory)


def test_two_writers_of_one_directory(tmp_path):
    def begin_another(progress):
        if progress.stage == "training":
            with pytest.raises(ValueError, match="is being written to by process"):
                study().resume(tmp_path / "run")
            raise StopError

    with pytest.raises(StopError):
        study().run(tmp_path / "run", begin_another)


def run_study(folder, name, seeds, devices=8, end=10**9):
    """Run or resume the sweep in a process with some devices, up to a number of lane-steps."""
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, STUDY, folder / name, str(seeds), str(end)]
    subprocess.run(command, env=os.environ | flags, check=True)


@pytest.mark.slow
def test_other_numbers_of_devices_give_the_same_records(tmp_path):
    run_study(tmp_path, "whole", seeds=4)
    run_study(tmp_path, "run", seeds=4, end=481)
    assert 0 < len(frame(tmp_path / "run")) < 32
    run_study(tmp_path, "run", seeds=4, devices=1)
    assert_equal_records(tmp_path / "run", frame(tmp_path / "whole"))


def kill_and_resume(folder, seconds):
    """Start the sweep in a process, kill it after some seconds, and return whether it had ended."""
    process = subprocess.Popen(
        [sys.executable, STUDY, folder / "run", "2", str(10**9)],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    errors = process.communicate()[1].decode()
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode == 0


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again(tmp_path):
    """Kills at random instants, some time after the process began; then it may end."""
    random = np.random.default_rng(0)
    for _ in range(20):
        if kill_and_resume(tmp_path, random.uniform(1, 25)):
            break
    run_study(tmp_path, "run", 2)
    run_study(tmp_path, "whole", 2)
    assert_equal_records(tmp_path / "run", frame(tmp_path / "whole"))
