"""`jinit worker` and `jinit status`: a sweep that several processes train, seen by its user."""

import contextlib
import io
import json
import re

import pytest

import jinit
from jinit.cli import main
from jinit.sweep.saved_settings import save_settings

STUDY = """
task = "breast_cancer"
seeds = 2
steps = 4
record_every = 4
width = 4

[space]
init = ["zeros", "he_normal"]
depth = [1]
lr = [1e-2]
"""
OWN = STUDY.replace("width = 4\n", "model = 'stopped_models:build'\n").replace("depth = [1]\n", "")
STOPPED_MODEL = """
def build(config):
    raise KeyboardInterrupt
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A sweep that one worker has begun and trained: its directory, its file, what was printed."""
    folder, said = tmp_path_factory.mktemp("study"), io.StringIO()
    file, directory = folder / "study.toml", folder / "shared" / "study"
    file.write_text(STUDY)
    with contextlib.redirect_stdout(said):
        assert main(["worker", str(directory), str(file)]) == 0
    return directory, file, said.getvalue()


def test_a_worker_begins_a_sweep(study):
    directory, _, said = study
    assert f"breast_cancer: working on {directory}\n" in said
    assert f"all runs are recorded; see them with: jinit report {directory} --open\n" in said
    assert len(jinit.Results(directory).frame()) == 4
    assert not list(directory.glob(".settings*"))


def test_a_worker_joins_without_the_file(study, capsys):
    directory, _, _ = study
    before = {path: path.stat().st_mtime_ns for path in directory.glob("records/*.parquet")}
    assert main(["worker", str(directory)]) == 0
    assert "all runs are recorded" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in directory.glob("records/*.parquet")} == before


def test_the_status(study, tmp_path, capsys):
    directory, _, _ = study
    assert main(["status", str(directory)]) == 0
    assert capsys.readouterr().out == "breast_cancer: 4 of 4 runs recorded (100%)\n"
    assert main(["status", str(directory), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "task": "breast_cancer", "runs": 4, "recorded": 4, "checkpoints": 0, "workers": [],
    }  # fmt: skip
    assert main(["status", str(directory), "--json", str(tmp_path / "status.json")]) == 0
    assert json.loads((tmp_path / "status.json").read_text())["recorded"] == 4


def test_the_status_before_the_sweep_is_begun(tmp_path, capsys):
    save_settings(tmp_path / "new", None, {})
    assert main(["status", str(tmp_path / "new")]) == 2
    assert "is not begun: its first worker reads the data" in capsys.readouterr().err


def test_the_status_of_an_unfinished_sweep_names_its_workers(study, tmp_path, capsys):
    """Half of the records are lost, and a worker beats."""
    from jinit.sweep.block_leases import BlockLeases
    from jinit.sweep.directory_folder import DirectoryFolder

    (tmp_path / "sweep.json").write_text((study[0] / "sweep.json").read_text())
    leases = BlockLeases(DirectoryFolder(tmp_path), "node17-4242-1f0c9a3e", 120.0)
    leases.beat({"host": "node17", "stage": "training", "lane_steps": 8})
    assert main(["status", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("breast_cancer: 0 of 4 runs recorded (0%)\n")
    assert re.search(r"node17-4242-1f0c9a3e .* training .* 8 .* \d+ s ago", said)
    assert f"go on with: jinit resume {tmp_path}, or jinit worker {tmp_path}" in said.replace(
        "\n", " "
    )


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("status", "does not exist; expected the output directory of a sweep"),
        ("worker", "holds no sweep of the command line to join: begin one with jinit worker "),
    ],
)
def test_a_wrong_directory(tmp_path, capsys, command, text):
    assert main([command, str(tmp_path / "wrong")]) == 2
    assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_with_a_fault_begins_nothing(tmp_path, capsys):
    file = tmp_path / "study.toml"
    file.write_text("seedz = 3" + STUDY)
    assert main(["worker", str(tmp_path / "study"), str(file)]) == 2
    assert "did you mean 'seeds'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [file]


def test_another_sweep_is_refused(study, tmp_path, capsys):
    file = tmp_path / "other.toml"
    file.write_text(STUDY.replace("steps = 4", "steps = 5", 1))
    assert main(["worker", str(study[0]), str(file)]) == 2
    error = capsys.readouterr().err
    assert f"{study[0]} holds a sweep that differs in steps (4 there, 5 here)" in error


def test_an_interrupt(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stopped_models.py").write_text(STOPPED_MODEL)
    (tmp_path / "own.toml").write_text(OWN)
    assert main(["worker", "study", "own.toml"]) == 130
    error = capsys.readouterr().err
    assert "jinit: interrupted; other workers go on, as jinit status study shows\n" in error
    assert main(["worker", "study"]) == 2
    assert "give the file that names it after the directory" in capsys.readouterr().err
