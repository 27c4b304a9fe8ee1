"""The directory of a run: interrupted, occupied, unwritable."""

from concurrent.futures import ThreadPoolExecutor

import jax
import pytest
from sweep.small import shallow, sweep

import jinit
from jinit.sweep import engine
from jinit.sweep.store import Store, check_directory

INITS = ["zeros", "he_normal", "xavier_uniform"]


def test_an_interrupt_keeps_what_was_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "local_slots", lambda: tuple(jax.devices()[:1]))

    def stop_in_the_second_block(progress):
        if progress.lane_steps > 8 * 20:
            raise KeyboardInterrupt

    one = sweep(shallow, init=INITS, lr=[1e-2], seeds=4, lanes=8, record_every=5)
    with pytest.raises(KeyboardInterrupt):
        one.run(tmp_path, stop_in_the_second_block)
    results = jinit.Results(tmp_path)
    frame = results.frame()
    assert list(zip(frame["init"], frame["seed"], strict=True)) == [
        *((init, seed) for init in INITS[:2] for seed in range(3)),
        *((INITS[2], seed) for seed in range(2)),
    ]
    assert "unfinished: 8 of 12 runs" in results.best()[0].sentence
    assert all(row[-1] == 20 for row in frame["step"])
    assert results.outline.total_lanes == 12
    assert not list(tmp_path.rglob("*.partial"))
    assert results.table().row_count > 0
    assert results.best()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        ValueError,
        match=r"already holds a sweep, which would be overwritten: .*--out DIR.*jinit\.Results\(",
    ):
        one.run(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_directory_that_cannot_be_written(tmp_path):
    """Below a file: not even an administrator can write there."""
    (tmp_path / "file").touch()
    with pytest.raises(
        ValueError, match=r"cannot write results to .*out.*; give another output dir"
    ):
        sweep(shallow, init=["he_normal"], lr=[1e-2]).run(tmp_path / "file" / "out")


def test_directories_are_checked_before_anything_is_built(tmp_path):
    def build(config):
        raise AssertionError("the directory was not checked first")

    (tmp_path / "file").touch()
    (tmp_path / "old" / "records").mkdir(parents=True)
    (tmp_path / "old" / "records" / "00000.parquet").touch()
    for name, message in (("file/out", "cannot write results"), ("old", "already holds a sweep")):
        with pytest.raises(ValueError, match=message):
            sweep(build, init=["he_normal"], lr=[1e-2]).run(tmp_path / name)


def test_a_build_that_fails_leaves_no_directory(tmp_path):
    with pytest.raises(TypeError, match="cannot make a model of int"):
        sweep(lambda _: 3, init=["he_normal"], lr=[1e-2]).run(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_many_workers_begin_a_directory_together(tmp_path):
    """Neither a check nor a lock of one worker is in the way of another."""

    def begin(number):
        directory = tmp_path / str(number // 8) / "study"
        Store(check_directory(directory, resumes=True), resumes=True, is_shared=True).close()

    with ThreadPoolExecutor(8) as workers:
        assert list(workers.map(begin, range(800))) == [None] * 800
