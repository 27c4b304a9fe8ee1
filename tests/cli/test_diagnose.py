"""`jinit diagnose`: what a beginner sees, exit codes for CI, and how it refuses bad input."""

import json
import sys

import pytest

from jinit.cli import main

NETWORKS = """
import jax
import jinit
from flax import linen as nn

X = jax.random.normal(jax.random.key(0), (32, 20))


class Deep(nn.Module):
    phi: object

    @nn.compact
    def __call__(self, x):
        for _ in range(10):
            x = self.phi(nn.Dense(64, kernel_init=jinit.lecun_normal())(x))
        return nn.Dense(10)(x)


def broken():
    model = jinit.linen.trace(Deep(nn.sigmoid), X)
    return model, jinit.init(model, jax.random.key(1)), X, jax.numpy.arange(32) % 10


def cured():
    return {"model": jinit.linen.trace(Deep(nn.tanh), X), "batch": (X,)}


def alone():
    return jinit.linen.trace(nn.Dense(4), X)


def odd():
    return 3


def module():
    return nn.Dense(4), None, X, jax.numpy.arange(32) % 4


def state():
    import optax
    from flax.training.train_state import TrainState

    dense = nn.Dense(4)
    params = dense.init(jax.random.key(0), X)["params"]
    made = TrainState.create(apply_fn=dense.apply, params=params, tx=optax.sgd(0.1))
    return made, X, jax.numpy.arange(32) % 4
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "networks", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def test_a_broken_network_and_its_cure(here, capsys):
    assert main(["diagnose", "networks:broken", "--plot", "it.png", "--json", "it.json"]) == 1
    page = capsys.readouterr().out
    for words in (
        "✗ vanishing: signal or gradient decays from layer to layer",
        "where  params/Dense_0/kernel … params/Dense_9/kernel (10 layers)",
        "sigmoid shrinks the gradient at any gain",
        "write  nn.tanh with kernel_init=jinit.lecun_normal() instead of sigmoid",
        "uniform guess ln 10 = 2.303",
    ):
        assert words in page
    assert json.loads((here / "it.json").read_text())["verdict"] == "vanishing"
    assert (here / "it.png").stat().st_size > 1000
    assert main(["diagnose", "networks:cured"]) == 0
    assert capsys.readouterr().out.startswith("✓ stable")


@pytest.mark.slow
def test_a_model_alone_and_many_initializations(here, capsys):
    assert main(["diagnose", "networks:alone", "--seeds", "3"]) == 0
    assert "of all initializations: 100 % stable" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ["module", "--lr", "1000", "--optimizer", "sgd"],
            1,
            "✗ learning rate too large: ",
        ),
        (
            ["state", "--lr", "0.001"],
            0,
            "✓ learning rate fine: ",
        ),
    ],
)
def test_a_learning_rate_decides_as_well(here, capsys, arguments, code, words):
    assert main(["diagnose", f"networks:{arguments[0]}", *arguments[1:]]) == code
    page = capsys.readouterr().out
    assert page.startswith("✓ stable")
    assert words in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--optimizer", "sgd"], "--optimizer sgd needs a learning rate, such as --lr 0.001"),
        (["--lr", "0.1", "--optimizer", "adm"], "unknown --optimizer 'adm'; did you mean 'adam'"),
    ],
)
def test_an_optimizer_that_cannot_be_built(here, capsys, arguments, words):
    assert main(["diagnose", "networks:module", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("networks", "diagnose 'networks': expected 'module:function', such as"),
        ("nowhere:start", "cannot import 'nowhere'"),
        ("networks:start", "has no function 'start'; it has Deep, broken, cured, alone, odd"),
        ("networks:odd", r"must return (model, params, *batch)"),
    ],
)
def test_bad_targets(here, capsys, target, words):
    assert main(["diagnose", target]) == 2
    assert words in capsys.readouterr().err


def test_many_initializations_need_more_than_parameters(here, capsys):
    assert main(["diagnose", "networks:broken", "--seeds", "3"]) == 2
    assert "give a function key -> params" in capsys.readouterr().err


def test_what_cannot_be_written_is_said_before_anything_is_run(here, capsys):
    assert main(["diagnose", "networks:cured", "--json", "nowhere/it.json"]) == 2
    assert "--json nowhere/it.json: there is no directory" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["it.txt", "it", "nowhere/it.png"])
def test_a_figure_that_cannot_be_written_is_refused_first(here, capsys, file):
    assert main(["diagnose", "networks:cured", "--plot", file]) == 2
    assert f"cannot draw {file}" in capsys.readouterr().err


def test_plain_data_on_standard_output(here, capsys):
    assert main(["diagnose", "networks:cured", "--json", "-"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["verdict"] == "stable"
    assert "✓ stable" in said.err


def test_a_crash_is_no_verdict(here, capsys):
    (here / "crashing.py").write_text("def start():\n    raise RuntimeError('it broke')\n")
    assert main(["diagnose", "crashing:start"]) == 2
    assert "jinit: RuntimeError: it broke" in capsys.readouterr().err


@pytest.mark.slow
def test_a_page_of_the_diagnosis_and_of_the_scale(here, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["diagnose", "networks:module", "--report", "it.html", "--open"]) == 0
    assert "Page: it.html" in capsys.readouterr().out
    page = (here / "it.html").read_text("utf-8")
    assert "✓ stable" in page
    assert "The singular values of the Jacobian" in page
    assert main(["scale", "networks:module", "-o", "scale.html", "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("stable at × ")
    assert "Page: scale.html" in printed.err
    assert len(json.loads(printed.out)["scales"]) == 25
    assert (here / "scale.html").stat().st_size > 1_000_000
    assert opened == [(here / "it.html").as_uri()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["diagnose", "networks:module", "--open"], "--open needs a page to open"),
        (
            ["diagnose", "networks:module", "--report", "a.pdf"],
            "expected a name that ends in .html",
        ),
        (["scale", "networks:module", "-o", "a.pdf"], "expected a name that ends in .html"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_at_once(here, capsys, arguments, words):
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
