"""The settings of a sweep from the command line, kept to go on with it."""

import json

import pytest

from jinit.sweep.saved_settings import read_saved_sweep, save_settings
from jinit.sweep.settings import build_sweep

BUILTIN = """
seeds = 3
steps = 20
[space]
init = ["zeros", "he_normal"]
depth = [1]
lr = [1e-3, 1e-2]
"""
OWN = "model = 'my_networks:build'\n" + BUILTIN.replace("depth = [1]\n", "")


def test_the_sweep_is_built_as_before(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(BUILTIN)
    options = {"seeds": 5, "lr": 0.1}
    expected, _ = build_sweep(file, options)
    save_settings(tmp_path / "run", file, options)
    file.unlink()
    found = read_saved_sweep(tmp_path / "run", None)
    assert found.seeds == expected.seeds == (0, 1, 2, 3, 4)
    assert found.steps == 20
    assert str(found.space.axes) == str(expected.space.axes)


def test_the_default_sweep_is_built_again(tmp_path):
    save_settings(tmp_path / "run", None, {})
    assert str(read_saved_sweep(tmp_path / "run", None).space.axes) == str(
        build_sweep(None, {})[0].space.axes
    )


def test_code_is_not_named_by_the_directory(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    (tmp_path / "my_networks.py").write_text(
        "import jinit\n"
        "def build(config):\n"
        "    return jinit.sweep.mlp(64, 10, depth=1, width=4, init=config['init'])\n"
    )
    save_settings(tmp_path / "run", file, {})
    with pytest.raises(
        ValueError,
        match=r"which is code: give the file that names it after the directory, as in jinit resume",
    ):
        read_saved_sweep(tmp_path / "run", None)
    assert read_saved_sweep(tmp_path / "run", file).steps == 20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"settings\.json does not exist; expected the directory that `jinit sweep` printed"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "does not hold the settings of a sweep"),
        ('{"settings": [], "options": {}}', "does not hold the settings of a sweep"),
        ('{"settings": {"seedz": 1}, "options": {}}', "did you mean 'seeds'"),
        (json.dumps({"settings": {"space": 3}, "options": {}}), "space must be a table"),
    ],
)
def test_damaged_settings_are_named(tmp_path, content, words):
    if content is not None:
        (tmp_path / "settings.json").write_text(content)
    with pytest.raises(ValueError, match=words):
        read_saved_sweep(tmp_path, None)
