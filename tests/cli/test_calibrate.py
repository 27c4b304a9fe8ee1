"""`jinit calibrate`: parameters that look at data, written for `keep=`."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit.cli.main import main

MODELS = """
import jax, jinit
import jax.numpy as jnp
from flax import linen as nn

class Mlp(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(10, param_dtype=jnp.bfloat16)(nn.relu(nn.Dense(16)(x)))

def build():
    return Mlp()

def start():
    x = jax.random.normal(jax.random.key(0), (32, 64))
    model = jinit.linen.trace(Mlp(), x)
    return model, model.init(jax.random.key(1)), x

def bare():
    return start()[:2]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "calibrated_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(function, *options):
    return main(["calibrate", f"calibrated_models:{function}", "--out", "start.npz", *options])


@pytest.mark.parametrize("function", ["start", "build"])
def test_parameters_are_written_for_keep(function, folder, capsys):
    task = ["--task", "digits"] if function == "build" else []
    code = run(function, *task, "--set", "target=2.0", "--json", "report.json", "--plot", "a.png")
    said = capsys.readouterr().out
    assert code == 0
    assert "lsuv(target=2.0): 3 forward passes" in said
    assert "keep=dict(numpy.load" in said
    report = json.loads((folder / "report.json").read_text())
    assert report["statistics"]["variance after"] == pytest.approx([2, 2], rel=0.02)
    import calibrated_models

    model = jinit.linen.trace(calibrated_models.build(), jnp.ones((4, 64)))
    saved = dict(np.load("start.npz"))
    params = jinit.init(model, jax.random.key(5), keep=saved)
    for path, value in model.by_path(params).items():
        np.testing.assert_array_equal(np.float32(value), saved[path])
    assert (folder / "a.png").stat().st_size > 1000


@pytest.mark.slow
def test_pre_training_writes_parameters_too(folder, capsys):
    arguments = ["--set", "epochs=1", "--set", "visible=gaussian", "--out", "start.npz"]
    assert main(["pretrain", "calibrated_models:start", *arguments]) == 0
    said = capsys.readouterr().out
    assert "rbm(epochs=1, visible='gaussian')" in said
    assert "it computes the outputs" in said
    saved = dict(np.load("start.npz"))
    assert np.isfinite(saved["params/Dense_0/kernel"]).all()
    assert main(["pretrain", "calibrated_models:start", "--set", "epoch=1", "--out", "b.npz"]) == 2
    assert "did you mean 'epochs'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("bare", [], "the function returned no data; return (model, params, inputs, targets)"),
        ("start", ["--method", "lsvu"], "unknown method 'lsvu'; did you mean 'lsuv'"),
        ("start", ["--set", "traget=1"], "unknown option of lsuv 'traget'; did you mean 'target'"),
        ("start", ["--set", "target"], "--set target: expected name=value"),
        ("start", ["--set", "target=0"], "lsuv: target=0, expected a number above 0"),
        ("start", ["--out", "start.txt"], "expected a name that ends in .npz"),
        ("build", ["--task", "digts"], "unknown task 'digts'; did you mean 'digits'"),
    ],
)
def test_mistakes_are_explained(function, options, message, folder, capsys):
    assert run(function, *options) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "start.npz").exists()


PRETRAIN = ["pretrain", "calibrated_models:start", "--set", "visible=gaussian", "--out", "a.npz"]


def interrupt_after_an_epoch(self, text):
    if "epoch 1 of" in text:
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_command_goes_on(folder, capsys, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("jinit.cli.progress.ProgressLine.show", interrupt_after_an_epoch)
        assert main([*PRETRAIN, "--set", "epochs=3"]) == 130
    said = capsys.readouterr().err
    assert "interrupted; a.npz.partial has what was done, and the same command goes on" in said
    assert (folder / "a.npz.partial").exists()
    assert not (folder / "a.npz").exists()
    assert main([*PRETRAIN, "--set", "epochs=4"]) == 2
    said = capsys.readouterr().err
    assert "a.npz.partial belongs to other work" in said
    assert "delete it to begin anew" in said
    assert main([*PRETRAIN, "--set", "epochs=3"]) == 0
    said = capsys.readouterr().err
    assert "epoch 3 of 3, reconstruction error" in said
    assert "epoch 0 of 3" not in said
    assert not (folder / "a.npz.partial").exists()
    assert np.isfinite(np.load("a.npz")["params/Dense_1/kernel"]).all()


@pytest.mark.slow
def test_a_process_that_is_interrupted_goes_on_when_it_is_repeated(folder):
    command = [sys.executable, "-m", "jinit", *PRETRAIN, "--set", "epochs=200000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (folder / "a.npz.partial").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "rbm: layer params/Dense_1/kernel (1 of 1), epoch" in said
    assert "the same command goes on" in said
    again = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = ""
    while "epoch" not in line:
        line = again.stderr.readline()
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=60)
    assert "epoch 0 of" not in line
    assert again.returncode == 130
    (folder / "a.npz.partial").write_bytes(b"damaged")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "a.npz.partial is not a file that jinit wrote" in done.stderr
