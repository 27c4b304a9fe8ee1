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
    assert (sweep.seeds, sweep.steps, sweep.definition.record_every) == ((1, 5), 7, 3)
    assert sweep.definition.training == ("lr", "weight_decay")
    inits = [values for axis, values in sweep.space.axes if axis == "init"]
    assert inits == [(jinit.he_normal(), jinit.normal(0.1))]
    init, _ = sweep.definition.build({"depth": 2, "init": jinit.he_normal(), "activation": "tanh"})
    assert jax.eval_shape(init, jax.random.key(0))["layer_01"]["kernel"].shape == (5, 5)


def test_options_replace_those_of_the_file(tmp_path):
    sweep, _ = read(tmp_path, TOML, steps=2, depth=4, task="digits")
    assert (sweep.steps, sweep.task.name) == (2, "digits")
    assert sweep.space.configs()[0]["depth"] == 4
    wide, _ = read(tmp_path, "[space]\ninit = ['zeros']\nlr = [1]\nwidth = [3, 4]", width=9)
    assert {config["width"] for config in wide.space.configs()} == {9}


RANGES = """
[space]
init = ["he_normal", "zeros"]
activation = ["relu"]
depth = {low = 2, high = 4}
lr = {low = 1e-4, high = 1e-1, log = true}
"""


@pytest.mark.parametrize(
    ("word", "search"), [("random", jinit.random_search), ("sobol", jinit.sobol)]
)
def test_a_search(tmp_path, word, search):
    keys = f"search = '{word}'\nconfigurations = 16\nseeds = 2\n"
    axes = {
        "init": ["he_normal", "zeros"],
        "activation": ["relu"],
        "depth": jinit.between(2, 4),
        "lr": jinit.between(1e-4, 1e-1, log=True),
    }
    sweep, _ = read(tmp_path, keys + RANGES)
    assert sweep.space == search(16, **axes)
    assert sweep.total_lanes == 32
    seeded, _ = read(tmp_path, "search_seed = 5\n" + keys + RANGES)
    assert seeded.space == search(16, seed=5, **axes)
    constant, _ = read(tmp_path, keys + RANGES, depth=3)
    assert constant.space == search(16, **axes | {"depth": [3]})


def test_a_grid_can_be_named(tmp_path):
    assert read(tmp_path, "search = 'grid'\n" + SPACE)[0].space.is_grid


RANDOM = "search = 'random'\nconfigurations = 4\n[space]\n"
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
        (
            RANGES,
            r"mine\.toml: depth is a range, .*: write search = 'random' \(or 'sobol'\) and conf",
        ),
        ("search = 'random'\n" + RANGES, "search = 'random' needs the number of configurations"),
        ("search = 'randm'\n" + RANGES, r"unknown search .*'randm'; did you mean 'random'\?"),
        ("search = 3\n" + RANGES, "unknown search in .* 3; expected one of: grid, random, sobol"),
        ("configurations = 3\n" + SPACE, r"mine\.toml: configurations is for search = 'random' or"),
        ("search = 'grid'\nsearch_seed = 3\n" + SPACE, "search_seed is for search = 'random' or"),
        (RANDOM + "lr = {low = 1}", "lr is a range without high: write {low = 1e-4, high"),
        (RANDOM + "lr = {}", "lr is a range without low and high"),
        (RANDOM + "lr = {low = 1, hgh = 2}", r"key of .*: lr = {...} 'hgh'; did you mean"),
        (RANDOM + "lr = {low = 2, high = 1}", r"mine\.toml: lr: between: expected low <"),
        (RANDOM + "lr = {low = 'a', high = 1}", "lr: between: expected finite numbers"),
        (
            RANDOM + "lr = [1]\ninit = {name = 'zeros'}",
            "axis 'init' needs a list of values",
        ),
        (
            RANDOM + "lr = [1]\nactivation = {low = 0, high = 1}",
            "'activation' needs a list",
        ),
        (
            RANDOM + "lr = [1]\ndepth = {low = 0, high = 9}",
            "depth: expected an integer of",
        ),
        (
            RANDOM + "lr = [1]\ndepth = {low = 1.0, high = 9.5}",
            "depth: expected an integer",
        ),
        (RANDOM + "lr = [1, 2]", "random_search: the axes have only 2 distinct config"),
        (RANDOM + "lr = [1]\nseed = [1]\n", "'seed'"),
        (
            "model = 'math:sin'\n" + RANDOM + "lr = [1]\nn = [1]\n",
            "an axis 'n' cannot be drawn",
        ),
        (
            "search_seed = -1\n" + RANDOM + "lr = [1]",
            "seed: expected an integer of at least 0",
        ),
        (
            RANDOM.replace("4", "0") + "lr = [1]",
            "configurations: expected an integer of at least 1",
        ),
        (SPACE + "depth = [0]", "depth: expected an integer of at least 1, got 0"),
        ("model = 'math:sin'", r"mine\.toml: model needs a table \[space\] with the axes"),
        ("x = " + "[" * 5000, "mine.toml is not valid TOML"),
        ("model = 'nowhere:build'\n" + SPACE, "model = 'nowhere:build': cannot import 'nowhere'"),
        ("model = 'nowhere'\n" + SPACE, "model = 'nowhere': expected 'module:function', such as"),
        ("model = 'math:nothing'\n" + SPACE, "math has no function 'nothing'; it has "),
        (
            "model = 'broken:build'\n" + SPACE,
            "model = 'broken:build': .*broken\\.py, line 1: expected ':'",
        ),
        ("model = 'math:sin'\nwidth = 3\n" + SPACE, "width is for the networks of jinit, and"),
        ("model = 'math:sin'\nnetwork = 'mlp'\n" + SPACE, "network is for the networks of jinit"),
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
