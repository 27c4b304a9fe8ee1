"""`jinit list` and `jinit show`."""

import json

import jax
import pytest

import jinit
from jinit.cli import main
from jinit.cli.catalog import _catalog, _draw
from jinit.report.catalog_list import catalog_lines


def test_list_has_one_line_for_every_initializer(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names[: len(jinit.CATALOG)] == [entry.name for entry in jinit.CATALOG]
    assert "adapters.pissa" in names
    (he_normal,) = (line for line in lines if line.startswith("he_normal "))
    for piece in ("variance", "2 / fan_in", "He et al. 2015", "Truncated normal"):
        assert piece in he_normal


def test_list_filters_by_words(capsys):
    assert main(["list", "state", "space", "MAMBA"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"mamba_log_decay", "mamba2_log_decay"} <= {line.split()[0] for line in lines}
    assert len(lines) < len(jinit.CATALOG) / 4
    assert main(["list", "nothing"]) == 2
    assert "no initializer matches 'nothing'; the families are constant" in capsys.readouterr().err


def test_list_and_show_as_plain_data(tmp_path, capsys):
    assert main(["list", "he_normal", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "he_normal"
    file = tmp_path / "it.json"
    assert main(["show", "he_normal", "64", "32", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["shape"] == [64, 32]
    assert found["exact_std"] == pytest.approx((2 / 64) ** 0.5)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_lines_are_cut_to_the_terminal(width):
    every = _catalog()
    lines = catalog_lines(every, width)
    assert len(lines) == len(every)
    assert max(map(len, lines)) <= width


@pytest.mark.few(20)
@pytest.mark.parametrize("entry", jinit.CATALOG, ids=lambda entry: entry.name)
def test_every_initializer_is_shown_in_a_default_shape(entry):
    shape, drawn = _draw(entry.example, (), jax.random.key(0))
    assert drawn.shape == shape


def test_show_describes_and_draws(capsys):
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


def test_show_takes_options(capsys):
    options = ["--set", "stddev=2", "--set", "dtype=bfloat16", "--shape", "9"]
    assert main(["show", "normal", *options]) == 0
    assert "normal(2, dtype='bfloat16'), shape (9,)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["he_norml"], "unknown initializer 'he_norml'; did you mean 'he_normal'"),
        (["HE_NORMAL"], "did you mean 'he_normal'"),
        (["gelu"], "jinit show activation_scaled --set phi=gelu"),
        (["pissa"], "pissa initializes a low-rank adapter from a kernel, not from a shape"),
        (["normal", "--set", "stdev=1"], "unknown option of normal 'stdev'; did you mean 'stddev'"),
        (["normal", "--set", "stddev"], "expected OPTION=VALUE, such as stddev=0.02, got 'stddev'"),
        (["he_normal", "--shape", "7"], "cannot compute the fans of shape (7,)"),
        (["he_normal", "--shape", "0", "4"], "holds no values to show"),
        (["he_normal", "--shape", "-1", "4"], "expected sizes >= 0"),
    ],
)
def test_show_refuses(capsys, arguments, text):
    assert main(["show", *arguments]) == 2
    assert text in capsys.readouterr().err
