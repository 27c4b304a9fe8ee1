"""The command line: what it prints, where it writes, and how it says no."""

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

def faulty(config):
    return nn.Dense(2)(config["init"] + 1)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory of a user with a model of his own; sys.path is put back after."""
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


def test_a_sweep_prints_its_table_its_advice_and_where_it_wrote(folder, capsys):
    assert main(["sweep", write(folder, BUILTIN)]) == 0
    said = capsys.readouterr()
    assert "breast_cancer: 4 lanes (2 configurations × 2 seeds), 4 steps each" in said.out
    assert "he_normal" in said.out
    assert "symmetric" in said.out
    assert f"Figure: {Path('runs', 'mine', 'sweep.png')}" in said.out
    assert f"Records: {Path('runs', 'mine')}" in said.out
    assert (folder / "runs" / "mine" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    lines = said.err.strip().splitlines()
    assert all("\x1b" not in line and "\r" not in line for line in lines)
    assert lines[-1].startswith("training  100 %")
    assert len(jinit.Results(folder / "runs" / "mine").frame()) == 4


@pytest.mark.parametrize("model", ["in_linen", "in_nnx"])
def test_a_model_of_ones_own(folder, capsys, model):
    text = OWN.format(model=f"own_models:{model}")
    assert main(["sweep", write(folder, text), "--out", "there", "--seeds", "1"]) == 0
    frame = jinit.Results(folder / "there").frame()
    assert frame["init"].tolist() == ["zeros", "he_normal"]
    assert len(frame["layers"].iloc[0]) == (2 if model == "in_linen" else 1)
    assert "2 lanes" in capsys.readouterr().out


def test_a_second_run_finds_its_own_directory(folder):
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
        (["--depth", "0"], BUILTIN, "depth must be an integer of at least 1, got 0"),
        (["--steps", "0"], BUILTIN, "steps: expected an integer of at least 1, got 0"),
        (["--out", "mine.toml/out"], BUILTIN, "cannot write results to mine.toml/out"),
        ([], OWN.format(model="own_models:nothing"), "has no function 'nothing'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, capsys, arguments, text, message):
    assert main(["sweep", write(folder, text), *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("jinit: ")
    assert message in error


def test_a_fault_in_the_users_model_shows_where(folder, capsys):
    assert main(["sweep", write(folder, OWN.format(model="own_models:faulty"))]) == 2
    error = capsys.readouterr().err
    assert "own_models.py" in error
    assert "Traceback" in error


def test_an_interrupt_before_anything_was_finished(folder, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("jinit.sweep.engine.plan", interrupted)
    assert main(["sweep", write(folder, BUILTIN)]) == 130
    assert "interrupted before a block of lanes was finished" in capsys.readouterr().err


PROGRAM = "import sys; from jinit.cli import main; sys.exit(main())"


def jinit_command(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    """The command in a process of its own, as from a shell without a terminal."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_bad_input_in_a_process_of_its_own(tmp_path):
    toml = write(tmp_path, "seedz = 3" + BUILTIN)
    done = jinit_command("sweep", toml, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"jinit: unknown key in {toml} 'seedz'; did you mean 'seeds'?\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "From which weights should this network start?"),
        (["sweep", "--help"], 0, "--depth"),
        (["--version"], 0, f"jinit {jinit.__version__}"),
    ],
)
def test_help(capsys, arguments, code, said):
    assert main(arguments) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["sweeep"], "sweep"),
        (["sweep", "--depth", "deep"], "argument --depth: invalid int value: 'deep'"),
        (["sweep", "--dpeth", "3"], "--dpeth"),
    ],
)
def test_arguments_that_cannot_be_read(capsys, arguments, said):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


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
        f"jinit: interrupted; {finished} of 4000 lanes were finished and are saved in out" in error
    )
    assert "Records: out" in out
    assert (tmp_path / "out" / "sweep.png").exists()


def test_list_names_every_initializer(folder, capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    for entry in jinit.CATALOG:
        assert f" {entry.name} " in printed
    for piece in ("2 / fan_in", "scale / n", "He et al. 2015", "combinator"):
        assert piece in printed


def test_show_describes_and_draws(folder, capsys):
    assert main(["show", "kaiming_normal", "--shape", "3", "3", "64", "128"]) == 0
    printed = capsys.readouterr().out
    for piece in (
        "he_normal(), shape (3, 3, 64, 128), fan_in 576, fan_out 1152",
        "variance 2 / fan_in",
        "exact: mean 0, std 0.05893",
        "Delving deep into rectifiers",
        "█┃",
    ):
        assert piece in printed


def test_show_takes_options(folder, capsys):
    options = ["--set", "stddev=2", "--set", "dtype=bfloat16", "--shape", "9"]
    assert main(["show", "normal", *options]) == 0
    assert "normal(2, dtype='bfloat16'), shape (9,)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["he_norml"], "unknown initializer 'he_norml'; did you mean 'he_normal'"),
        (["pissa"], "pissa starts a low-rank adapter from the kernel beside which it stands"),
        (["normal", "--set", "stdev=1"], "unknown option of normal 'stdev'; did you mean 'stddev'"),
        (["normal", "--set", "stddev"], "expected OPTION=VALUE, got 'stddev'"),
        (["he_normal", "--shape", "7"], "cannot compute the fans of shape (7,)"),
        (["he_normal", "--shape", "0", "4"], "holds no values to show"),
        (["he_normal", "--shape", "-1", "4"], "expected sizes >= 0"),
    ],
)
def test_show_refuses(folder, capsys, arguments, text):
    assert main(["show", *arguments]) == 2
    assert text in capsys.readouterr().err
