"""Plans as text that fits the terminal, as HTML, and as one short line."""

import jax.numpy as jnp
import pytest
from arrays import floats

import jinit
from jinit.rules import Rule, plan, recommend

LONG = "encoder/transformer_block_11/attention/output_projection/kernel"
HEADINGS = "path shape role axes fan in fan out activation initializer std"


@pytest.fixture(scope="module")
def model():
    def apply(p, x):
        x = jnp.tanh(x @ p["first"] + p["bias"][None])
        return x + x @ p[LONG]

    params = {"first": floats(64, 64), "bias": floats(64), LONG: floats(64, 64)}
    constants = {path: jnp.full(leaf.shape, 0.5) for path, leaf in params.items()}
    return jinit.trace(apply, params, floats(2, 64), init=lambda key: constants)


@pytest.fixture(scope="module")
def planned(model):
    return plan(model, [Rule("he_normal", role="kernel"), Rule("zeros")])


def show(plan, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    return str(plan).splitlines()


def test_a_wide_terminal_shows_all_columns(planned, monkeypatch):
    lines = show(planned, monkeypatch, 250)
    assert lines[0].split() == HEADINGS.split()
    row = next(line for line in lines if line.startswith("first "))
    assert row.split()[:6] == ["first", "64×64", "kernel", "in,out", "64", "64"]
    assert "tanh → product" in row
    assert row.endswith("he_normal()  0.1768")
    assert len(lines) == 4


@pytest.mark.parametrize("width", [100, 80, 60])
def test_a_table_fits_the_terminal_and_names_missing_columns(planned, model, monkeypatch, width):
    for each in (planned, recommend(model)):
        lines = show(each, monkeypatch, width)
        assert max(map(len, lines)) <= width
        headings = lines[0]
        assert headings.startswith("path")
        assert "initializer" in headings
        assert "std" in headings
        missing = next(line for line in lines if line.startswith(f"not shown at {width} columns: "))
        assert "axes" in missing
        assert any("projection/kernel" in line for line in lines)


def test_advice_is_below_the_table(model, monkeypatch):
    lines = show(recommend(model), monkeypatch, 80)
    assert "current std  ratio" in lines[0]
    assert "first: constant, so that all of its units are equal: draw it" in lines
    assert any(line.startswith("bias") and "model's own" in line for line in lines)


def test_control_characters_in_names_are_escaped(monkeypatch):
    name = "kernel\x1b[31m"
    model = jinit.trace(
        lambda p, x: x @ p[name],
        {name: floats(64, 3)},
        floats(2, 64),
        init=lambda key: {name: jnp.ones((64, 3))},
    )
    for each in (plan(model, {"**": "he_normal"}), recommend(model)):
        text = "\n".join(show(each, monkeypatch, 200))
        assert "\x1b" not in text
        assert "kernel\\x1b[31m" in text
        assert "\x1b" not in each._repr_html_()


def test_the_repr_is_one_short_line(planned):
    assert repr(planned) == "<Plan of 3 parameters, 8,256 entries>"


def test_html_has_all_columns_and_escapes_names(model):
    page = recommend(model)._repr_html_()
    assert page.count("<tr>") == 4
    for heading in ("axes", "activation", "initializer", "current std", "ratio", "advice"):
        assert f"<th>{heading}</th>" in page
    assert "are equal: draw it</td>" in page
    injected = jinit.trace(lambda p, x: x @ p["<b>"], {"<b>": floats(64, 3)}, floats(2, 64))
    page = plan(injected, {"**": "he_normal"})._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
