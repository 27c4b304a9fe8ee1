"""`jinit tune`: what it prints, where it writes, and how it refuses bad input."""

import json
from pathlib import Path

import pytest

import jinit
from jinit.cli import main
from jinit.sweep.settings import TUNED_SPACE, read_settings

SPACE = """
task = "breast_cancer"
steps = 20
record_every = 20
width = 4

[space]
init = ["zeros", "he_normal"]
depth = [1]
lr = [1e-4, 1e-2]
"""
SHORT = ["--seeds", "1", "--confirm-seeds", "2"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "mine.toml").write_text(SPACE)
    return tmp_path


def test_it_prints_a_table_a_sentence_and_its_files(folder, capsys):
    assert main(["tune", "mine.toml", *SHORT]) == 0
    said = capsys.readouterr()
    assert (
        "breast_cancer: a search of 4 runs (4 configurations × 1 seed), then the best" in said.out
    )
    assert "On 2 fresh seeds: " in said.out
    directory = Path("runs", "mine")
    assert f"Records: {directory}" in said.out
    assert (directory / "heat_map.png").read_bytes().startswith(b"\x89PNG")
    tuned = jinit.Tuned(directory)
    assert tuned.search.outline.seeds == (0,)
    assert tuned.confirmed.outline.seeds == (1, 2)
    assert tuned.sentence in said.out
    assert [config["init"] for config in tuned.choices] == ["zeros", "he_normal"]


@pytest.mark.slow
def test_plain_data_on_standard_output(folder, capsys):
    assert main(["tune", "mine.toml", *SHORT, "--steps", "2", "--out", "out", "--json", "-"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["best"].startswith("On 2 fresh seeds: ")
    assert {each["init"] for each in found["competitors"]} == {"zeros", "he_normal"}
    assert jinit.Tuned("out").search.outline.total_lanes == 4


@pytest.mark.slow
def test_too_many_rates_for_a_heat_map(folder, capsys):
    text = SPACE.replace("lr = [1e-4, 1e-2]", "lr = {low = 1e-4, high = 1e-2, log = true}")
    drawn = 'search = "random"\nconfigurations = 60\n'
    (folder / "mine.toml").write_text(drawn + text)
    assert main(["tune", "mine.toml", *SHORT, "--steps", "2"]) == 0
    assert "No heat map: axes: 'lr' has 60 values" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.toml"], "cannot read nowhere.toml"),
        (["mine.toml", "--confirm-seeds", "0"], "Invalid value for '--confirm-seeds'"),
        (["mine.toml", "--out", "."], "--out .: this directory already holds files"),
        (["mine.toml", "--json", "nowhere/it.json"], "there is no directory"),
    ],
)
def test_bad_input_is_exit_code_2(folder, capsys, arguments, message):
    assert main(["tune", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_interrupt_says_what_can_be_read(folder, capsys, monkeypatch):
    def interrupted(train):
        records = Path("out", "search", "records")
        records.mkdir(parents=True)
        (records / "00000.parquet").touch()
        return 130

    monkeypatch.setattr("jinit.cli.tune.train_watched", interrupted)
    assert main(["tune", "mine.toml", "--out", "out"]) == 130
    assert 'jinit.Results("out/search") reads the runs' in capsys.readouterr().err


def test_the_default_space_tunes_rates():
    space = read_settings(None, {"width": 8}, TUNED_SPACE).space
    assert len(space.configs()) == 72
    space = read_settings(None, {"network": "cnn"}, TUNED_SPACE).space
    assert space.names == ("init", "lr", "l2")
