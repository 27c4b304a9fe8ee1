"""Sweeps from TOML and options, and errors that name a wrong key or value."""

import jax
import pytest

import jinit
from jinit.sweep.settings import DEFAULT_SPACE, build_sweep

TOML = """
task = "breast_cancer"
optimizer = "adamw"
batch_size = 8
seeds = [1, 5]
steps = 7
record_every = 3
width = 5

[space]
init = ["he_normal", {name = "normal", stddev = 0.1}]
activation = ["tanh"]
depth = [2]
lr = [1e-2]
weight_decay = [0.0, 0.1]
"""


def read(tmp_path, text, **overrides):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return build_sweep(file, overrides)


def test_the_default_sweep():
    sweep, name = build_sweep(None, {})
    assert (name, sweep.steps, len(sweep.seeds), sweep.task.batch_size) == ("digits", 300, 8, 64)
    assert sweep.total_lanes == 12 * 3 * 8
    assert [len(values) for _, values in sweep.space.axes] == [12, 3, 1, 1]
    assert DEFAULT_SPACE["depth"] == [8]


def test_options_replace_axes_and_settings():
    sweep, name = build_sweep(
        None, {"task": "breast_cancer", "depth": 3, "width": 5, "lr": 0.5, "seeds": 2, "steps": 9}
    )
    config = sweep.space.configs()[0]
    assert (name, config["depth"], config["width"], config["lr"]) == ("breast_cancer", 3, 5, 0.5)
    assert (sweep.seeds, sweep.steps, sweep.task.name) == ((0, 1), 9, "breast_cancer")


def test_a_file(tmp_path):
    sweep, name = read(tmp_path, TOML)
    assert (name, sweep.task.name, sweep.task.batch_size) == ("mine", "breast_cancer", 8)
    assert (sweep.seeds, sweep.steps, sweep.record_every) == ((1, 5), 7, 3)
    assert sweep.axes.traced == ("lr", "weight_decay")
    inits = [values for axis, values in sweep.space.axes if axis == "init"]
    assert inits == [(jinit.he_normal(), jinit.normal(0.1))]
    init, _ = sweep.build({"depth": 2, "init": jinit.he_normal(), "activation": "tanh"})
    assert jax.eval_shape(init, jax.random.key(0))["layer_01"]["kernel"].shape == (5, 5)


def test_options_replace_those_of_the_file(tmp_path):
    sweep, _ = read(tmp_path, TOML, steps=2, depth=4, task="digits")
    assert (sweep.steps, sweep.task.name) == (2, "digits")
    assert sweep.space.configs()[0]["depth"] == 4
    wide, _ = read(tmp_path, "[space]\ninit = ['zeros']\nlr = [1]\nwidth = [3, 4]", width=9)
    assert {config["width"] for config in wide.space.configs()} == {9}


SPACE = "[space]\ninit = ['zeros']\nlr = [1e-3]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sede = 3\n" + SPACE, r"unknown key in .*mine\.toml 'sede'; did you mean 'seeds'\?"),
        ("tsk = 'digits'\n" + SPACE, "unknown key .* 'tsk'; did you mean 'task'"),
        ("spaces = 1", "'spaces'; did you mean 'space'"),
        ("[space", "mine.toml is not valid TOML"),
        ("space = 3", r"space must be a table: \[space\], then init = \[\.\.\.\]"),
        ("[space]", r"\[space\] needs a learning rate, such as lr = \[0.001\]"),
        ("[space]\ninit = []\nlr = [1]", "grid: axis 'init' is empty"),
        ("[space]\ninit = 'zeros'\nlr = [1]", r"axis 'init' needs a list of values, got 'zeros'"),
        ("[space]\ninit = ['he_norml']\nlr = [1]", "he_norml.*he_normal"),
        (
            "[space]\ninit = [{name = 'normal', stddev = -0.1}]\nlr = [1]",
            "stddev: expected a number >= 0, got -0.1",
        ),
        ("[space]\ninit = [{name = 'normal', std = 0.1}]\nlr = [1]", "std"),
        (SPACE + "activaton = ['relu']", "'activaton'; did you mean 'activation'"),
        (SPACE + "activation = ['rleu']", "unknown activation 'rleu'; did you mean 'relu'"),
        ("task = 'digts'\n" + SPACE, r"unknown task 'digts'; did you mean 'digits'\?"),
        ("optimizer = 'adm'\n" + SPACE, "unknown optimizer 'adm'; did you mean 'adam'"),
        ("batch_size = 'x'\n" + SPACE, "batch_size='x', expected an integer from 1 to"),
        ("seeds = 0\n" + SPACE, "seeds: expected an integer of at least 1, got 0"),
        (
            "[space]\ninit = ['zeros']",
            r"mine\.toml: \[space\] needs a learning rate, such as lr = \[",
        ),
        (SPACE + "depth = [0]", "depth: expected an integer of at least 1, got 0"),
        ("model = 'math:sin'", r"mine\.toml: model needs a table \[space\] with the axes"),
        ("x = " + "[" * 5000, "mine.toml is not valid TOML"),
        ("model = 'nowhere:build'\n" + SPACE, "model = 'nowhere:build': cannot import 'nowhere'"),
        ("model = 'nowhere'\n" + SPACE, "model = 'nowhere': expected 'module:function', such as"),
        ("model = 'math:nothing'\n" + SPACE, "math has no function 'nothing'; it has "),
        ("model = 'broken:build'\n" + SPACE, "model = 'broken:build': cannot import 'broken'"),
        ("model = 'math:sin'\nwidth = 3\n" + SPACE, "width is an option of the built-in MLP"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path, monkeypatch, text, message):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken.py").write_text("def build(config)\n")
    with pytest.raises((ValueError, TypeError), match=message):
        read(tmp_path, text)


def test_a_penalty_of_an_optimizer_without_it(tmp_path):
    """adam does not take weight_decay, so it would reach the MLP, which does not take it either."""
    with pytest.raises(ValueError, match=r"trained by adam .*'weight_decay'"):
        read(tmp_path, SPACE + "weight_decay = [0.1]")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*none\.toml: No such file"):
        build_sweep(tmp_path / "none.toml", {})
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"binary\.toml is not valid TOML"):
        build_sweep(tmp_path / "binary.toml", {})
