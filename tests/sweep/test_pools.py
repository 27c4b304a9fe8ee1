"""Pools of processes give the records of one process, bit for bit."""

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from sweep.interrupted import build, study
from sweep.test_resume import assert_equal_records, frame
from sweep.test_worker import FEW, assert_equal_params

import jinit
from jinit.sweep import pool_run


class InThisProcess:
    """A pool whose tasks run here, one after the other."""

    def __init__(self, fail_at=None):
        self.calls, self.fail_at = [], fail_at

    def submit(self, function, *arguments):
        self.calls.append((function.__name__, *arguments[2:]))
        future = Future()
        if len(self.calls) == self.fail_at:
            future.set_exception(RuntimeError("the process was lost"))
        else:
            future.set_result(function(*arguments))
        return future


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "run"
    study(**FEW).run(directory)
    return directory


def test_tasks_of_a_pool(tmp_path, whole, monkeypatch):
    """What the pool does for one sweep, here in this process; a task is lost, and a run resumes."""
    monkeypatch.setattr(pool_run, "process_name", lambda: "another")
    with pytest.raises(RuntimeError, match="the process was lost"):
        study(**FEW).run(tmp_path, executor=InThisProcess(fail_at=5))
    done = len(frame(tmp_path))
    assert 0 < done < 24
    pool, seen = InThisProcess(), []
    study(**FEW).resume(tmp_path, seen.append, executor=pool)
    assert_equal_records(tmp_path, frame(whole))
    assert_equal_params(tmp_path, whole)
    assert "choose_pool_layout" not in {name for name, *_ in pool.calls}
    assert seen[-1].lane_steps == seen[-1].total_lane_steps


def test_pools_that_cannot_work(tmp_path):
    fork = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
    for pool, error, text in (
        (ThreadPoolExecutor(1), ValueError, "its tasks run in this process"),
        (InThisProcess(), ValueError, "its tasks run in this process"),
        (fork, ValueError, "a forked process hangs when it uses JAX"),
        ("processes", TypeError, "expected a pool with a method submit"),
    ):
        with pytest.raises(error, match=text):
            study().run(tmp_path / "out", executor=pool)
    assert not (tmp_path / "out").exists()
    space = jinit.halving(jinit.grid(init=["zeros", "he_normal"], lr=[0.1]), eta=2, rungs=2)
    halved = jinit.Sweep(jinit.tasks.digits(), build, space, seeds=1, steps=20)
    with pytest.raises(ValueError, match="a sweep by halving compares all"):
        halved.run(tmp_path / "out", executor=InThisProcess())


@pytest.mark.slow
def test_processes_that_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(pool_run, "process_name", lambda: "another")

    class Mixed(InThisProcess):
        def submit(self, function, *arguments):
            future = super().submit(function, *arguments)
            if function.__name__ == "train_pool_blocks":
                trained = future.result()
                identity = {**trained.process.identity, "jax": "0.0"}
                process = trained.process._replace(identity=identity)
                future = Future()
                future.set_result(trained._replace(process=process))
            return future

    with pytest.raises(ValueError, match=r"the pool differ: .* in jax \(0\.0 there, "):
        study(**FEW).run(tmp_path, executor=Mixed())


@pytest.mark.slow
def test_a_pool_of_spawned_processes(tmp_path, whole):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        study(**FEW).run(tmp_path, executor=pool)
        space = jinit.grid(init=["zeros"], depth=[1], lr=[1])
        local = jinit.Sweep(jinit.tasks.digits(), lambda config: build(config), space)
        with pytest.raises(ValueError, match="cannot be sent to the processes of the pool"):
            local.run(tmp_path / "local", executor=pool)
    assert_equal_records(tmp_path, frame(whole))
    assert_equal_params(tmp_path, whole)
