"""Workers that share a directory give the records of one process, bit for bit."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from sweep import interrupted
from sweep.interrupted import build, study
from sweep.test_resume import StopError, assert_equal_records, frame, stop_at

import jinit
from jinit.sweep.block_leases import BlockLeases
from jinit.sweep.directory_folder import DirectoryFolder
from jinit.sweep.study_status import read_status

FEW = {"lanes": 3, "seeds": 3, "steps": 120, "steps_per_call": 10}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The directory of the sweep, run by one process."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    study(**FEW).run(directory)
    return directory


def assert_equal_params(directory, expected):
    found = jinit.Results(directory).params()
    jax.tree.map(np.testing.assert_array_equal, found, jinit.Results(expected).params())


@pytest.mark.slow
def test_one_worker(tmp_path, whole):
    study(**FEW).work(tmp_path)
    assert_equal_records(tmp_path, frame(whole))
    assert_equal_params(tmp_path, whole)
    assert not list((tmp_path / "leases").iterdir())
    assert not list((tmp_path / "workers").iterdir())
    seen = []
    study(**FEW).work(tmp_path, seen.append)
    assert not any(each.stage == "training" for each in seen)


def test_a_worker_goes_on_with_what_others_left(tmp_path, whole):
    """A block is recorded, one is saved, and one is leased by a worker that is lost."""
    with pytest.raises(StopError):
        study(**FEW).work(tmp_path, stop_at(60))
    assert list((tmp_path / "checkpoints").iterdir())
    assert not list((tmp_path / "leases").iterdir())
    lost = BlockLeases(DirectoryFolder(tmp_path), "lost", 1.0)
    assert lost.claim(lambda: ["001-000001"], lambda block: False) == "001-000001"
    study(**FEW).work(tmp_path, lease_seconds=1.0)
    assert_equal_records(tmp_path, frame(whole))
    assert_equal_params(tmp_path, whole)


def test_a_run_and_a_worker_do_not_write_together(tmp_path):
    def begin_another(progress):
        if progress.stage == "training":
            with pytest.raises(ValueError, match="is being written to by process"):
                study(**FEW).resume(tmp_path)
            raise StopError

    with pytest.raises(StopError):
        study(**FEW).work(tmp_path, begin_another)
    with pytest.raises(ValueError, match="differs in steps"):
        study(**FEW | {"steps": 121}).work(tmp_path)


def test_halving_is_refused(tmp_path):
    space = jinit.halving(jinit.grid(init=["zeros", "he_normal"], lr=[0.1]), eta=2, rungs=2)
    one = jinit.Sweep(jinit.tasks.digits(), build, space, seeds=1, steps=20)
    with pytest.raises(ValueError, match=r"a sweep by halving compares all .* run it in one"):
        one.work(tmp_path)


def test_the_status_of_a_sweep(tmp_path, whole):
    assert (read_status(whole).recorded, read_status(whole).runs) == (24, 24)
    seen = []

    def look(progress):
        seen.append(read_status(tmp_path)) if (tmp_path / "sweep.json").exists() else None
        if progress.lane_steps >= 800:
            raise StopError

    with pytest.raises(StopError):
        study(**FEW).work(tmp_path, look)
    assert any(len(each.workers) == 1 for each in seen)
    (worker,) = next(each.workers for each in seen if each.workers)
    assert 0 <= worker.age_seconds < 100
    after = read_status(tmp_path)
    assert 0 < after.recorded < 24
    assert after.checkpoints > 0
    assert not after.workers


def start_worker(folder, *, seeds=6):
    command = [sys.executable, interrupted.__file__, folder, str(seeds), "worker"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.slow
def test_four_workers_of_which_one_is_killed_and_one_is_stopped(tmp_path):
    workers = [start_worker(tmp_path / "run") for _ in range(4)]
    while not list(tmp_path.glob("run/records/*.parquet")):
        assert all(each.poll() is None for each in workers), workers[0].communicate()[0].decode()
        time.sleep(0.05)
    workers[0].kill()
    workers[1].send_signal(signal.SIGTERM)
    for worker in workers[:2]:
        worker.communicate()
    for worker in workers[2:]:
        output = worker.communicate()[0].decode()
        assert worker.returncode == 0, output
    study(seeds=6, lanes=4).run(tmp_path / "whole")
    assert_equal_records(tmp_path / "run", frame(tmp_path / "whole"))
    assert_equal_params(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_of_jax_distributed(tmp_path, processes):
    """Each process trains blocks on its own devices; nothing is exchanged but files."""
    command = [sys.executable, interrupted.__file__, tmp_path / "run", "4", "distributed"]
    port = 20_000 + os.getpid() % 20_000
    started = [
        subprocess.Popen([*command, str(number), str(processes), str(port)])
        for number in range(processes)
    ]
    assert [each.wait(timeout=300) for each in started] == [0] * processes
    study(seeds=4, lanes=4).run(tmp_path / "whole")
    assert_equal_records(tmp_path / "run", frame(tmp_path / "whole"))
