"""`jinit sweep`: what it prints, where it writes, and how it refuses bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import jinit
from jinit.cli import main

SMALL = """
task = "breast_cancer"
seeds = 2
steps = 4
record_every = 4
width = 4
"""
BUILTIN = (
    SMALL
    + """
[space]
init = ["zeros", "he_normal"]
depth = [1]
lr = [1e-2]
"""
)
OWN = BUILTIN.replace("width = 4\n", "model = '{model}'\n").replace("depth = [1]\n", "")
MODELS = """
import os
import signal
import time

from flax import linen as nn
from flax import nnx

class Net(nnx.Module):
    def __init__(self, init, rngs):
        self.only = nnx.Linear(30, 2, kernel_init=init, rngs=rngs)

    def __call__(self, x):
        return self.only(x)

def in_nnx(config, rngs):
    return Net(config["init"], rngs)

def in_linen(config):
    return nn.Sequential([nn.Dense(3, kernel_init=config["init"]), nn.relu, nn.Dense(2)])

def swallowing(config):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    except KeyboardInterrupt:
        pass
    return nn.Dense(2, kernel_init=config["init"])

def interrupting(config):
    raise KeyboardInterrupt

def faulty(config):
    return nn.Dense(2)(config["init"] + 1)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory of a user with own models; `sys.path` is restored afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "own_models.py").write_text(MODELS)
    yield tmp_path
    sys.modules.pop("own_models", None)


def write(folder: Path, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text)
    return str(file)


def test_a_sweep_prints_a_table_a_recommendation_and_its_files(folder, capsys):
    assert main(["sweep", write(folder, BUILTIN)]) == 0
    said = capsys.readouterr()
    assert "breast_cancer: 4 runs (2 configurations × 2 seeds), 4 steps each" in said.out
    assert "he_normal" in said.out
    assert any(line.split()[:2] == ["zeros", "dead"] for line in said.out.splitlines())
    assert f"Figure: {Path('runs', 'mine', 'sweep.png')}" in said.out
    assert f"Records: {Path('runs', 'mine')}" in said.out
    assert (folder / "runs" / "mine" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    lines = said.err.strip().splitlines()
    assert all("\x1b" not in line and "\r" not in line for line in lines)
    assert lines[-1].startswith("training  100 %")
    assert len(jinit.Results(folder / "runs" / "mine").frame()) == 4


@pytest.mark.parametrize("model", ["in_linen", pytest.param("in_nnx", marks=pytest.mark.slow)])
def test_a_model_of_the_user(folder, capsys, model):
    text = OWN.format(model=f"own_models:{model}")
    assert main(["sweep", write(folder, text), "--out", "there", "--seeds", "1"]) == 0
    frame = jinit.Results(folder / "there").frame()
    assert frame["init"].tolist() == ["zeros", "he_normal"]
    assert len(frame["layers"].iloc[0]) == (2 if model == "in_linen" else 1)
    assert "2 runs" in capsys.readouterr().out


@pytest.mark.slow
def test_a_second_run_gets_another_directory(folder):
    for name in ("mine", "mine-2"):
        (folder / "runs" / name).mkdir(parents=True)
    assert main(["sweep", write(folder, BUILTIN), "--seeds", "1", "--steps", "1"]) == 0
    assert (folder / "runs" / "mine-3" / "sweep.json").exists()


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        ([], BUILTIN.replace("he_normal", "he_norml"), "he_normal"),
        ([], BUILTIN.replace('"zeros"', '{name = "normal", stddev = -1}'), "stddev: expected a"),
        ([], BUILTIN.replace('["zeros", "he_normal"]', "[]"), "axis 'init' is empty"),
        ([], "stepz = 3" + BUILTIN, "'stepz'; did you mean 'steps'"),
        (["--task", "digitz"], BUILTIN, "unknown task 'digitz'; did you mean 'digits'?"),
        (["--depth", "0"], BUILTIN, "Invalid value for '--depth': 0 is not in the range x>=1"),
        (["--steps", "0"], BUILTIN, "Invalid value for '--steps'"),
        (["--lr", "-0.1"], BUILTIN, "Invalid value for '--lr': -0.1 is not in the range x>0"),
        (["--out", "mine.toml/out"], BUILTIN, "--out mine.toml/out: cannot create this directory"),
        (
            ["--out", "."],
            BUILTIN,
            "--out .: this directory already holds files; name a new directory",
        ),
        (["--json", "nowhere/it.json"], BUILTIN, "--json nowhere/it.json: there is no directory"),
        ([], OWN.format(model="own_models:nothing"), "has no function 'nothing'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, capsys, arguments, text, message):
    assert main(["sweep", write(folder, text), *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(("jinit: ", "Error: "))
    assert message in error


def test_plain_data_on_standard_output(folder, capsys):
    assert main(["sweep", write(folder, BUILTIN), "--seeds", "1", "--json", "-"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [record["init"] for record in found["records"]] == ["zeros", "he_normal"]
    assert found["best"][0] in said.err.replace("\n", " ")


def test_a_fault_in_the_users_model_shows_where(folder, capsys):
    assert main(["sweep", write(folder, OWN.format(model="own_models:faulty"))]) == 2
    error = capsys.readouterr().err
    assert "own_models.py" in error
    assert "Traceback" in error


def test_an_interrupt_before_anything_was_finished(folder, capsys):
    assert main(["sweep", write(folder, OWN.format(model="own_models:interrupting"))]) == 130
    assert "interrupted before a block of runs was finished" in capsys.readouterr().err


PROGRAM = "import sys; from jinit.cli import main; sys.exit(main())"


def jinit_command(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    """The command in a process of its own, as from a shell without a terminal."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_bad_input_in_a_process_of_its_own(tmp_path):
    toml = write(tmp_path, "seedz = 3" + BUILTIN)
    done = jinit_command("sweep", toml, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    hint = "did you mean 'seeds' or 'data_seed' or 'search_seed'?"
    assert done.stderr == f"jinit: unknown key in {toml} 'seedz'; {hint}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml"]


LONG = """
task = "breast_cancer"
seeds = 2000
steps = 200
record_every = 20
width = 4

[space]
init = ["he_normal", "zeros"]
depth = [1]
lr = [1e-2]
"""


def test_an_interrupt_that_was_lost_still_counts(folder, capsys):
    file = write(folder, OWN.format(model="own_models:swallowing"))
    before = signal.getsignal(signal.SIGINT)
    assert main(["sweep", str(file), "--out", "out"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow  # the next test does the same with SIGTERM
def test_an_interrupt_saves_what_was_finished(tmp_path):
    """Ctrl-C once the first block of lanes is on disk: exit code 130, table and records."""
    command = [sys.executable, "-c", PROGRAM, "sweep", write(tmp_path, LONG), "--out", "out"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    while not list((tmp_path / "out" / "records").glob("*.parquet")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate()
    assert process.returncode == 130, error
    finished = len(jinit.Results(tmp_path / "out").frame())
    assert 0 < finished < 4000
    assert (
        f"jinit: interrupted; {finished} of 4000 runs were finished and are saved in out" in error
    )
    assert "Records: out" in out
    assert (tmp_path / "out" / "sweep.png").exists()


def test_a_terminated_sweep_goes_on(tmp_path):
    """SIGTERM once a block is on disk: exit code 143, and the command that trains the rest."""
    file = write(tmp_path, LONG.replace("2000", "300").replace("steps = 200", "steps = 60"))
    command = [sys.executable, "-c", PROGRAM, "sweep", file, "--out", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "out" / "records").glob("*.parquet")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    error = process.communicate()[1]
    assert process.returncode == 143, error
    assert "are saved in out; go on with: jinit resume out" in error
    finished = jinit.Results(tmp_path / "out").frame()
    assert 0 < len(finished) < 600
    done = jinit_command("resume", "out", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = jinit.Results(tmp_path / "out").frame().set_index(["init", "seed"])
    assert len(runs) == 600
    assert runs.index.is_unique
    before = finished.set_index(["init", "seed"])["validation_loss"]
    assert (runs["validation_loss"][before.index] == before).all()


def test_a_dry_run_says_the_cost_and_writes_nothing(folder, capsys):
    file = write(folder, BUILTIN)
    assert main(["sweep", file, "--dry-run", "--out", "new"]) == 0
    assert "4 runs of 16 steps in all, 1 training program; about" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir() if path.suffix != ".py"] == ["mine.toml"]
