"""The table as somebody reads it, in plain text of 80 to 120 columns."""

import io

import pytest
from report.synthetic import diverged, lane, write_accuracies, write_sweep
from rich.console import Console

from jinit.report import Results
from jinit.report.metric import Metric, compact, with_half
from jinit.report.table import verdict_text


def shown(directory, width=100, **options):
    stream = io.StringIO()
    Console(file=stream, width=width, **options).print(Results(directory).table())
    return stream.getvalue()


def line(text, start):
    (found,) = [each.split() for each in text.splitlines() if each.startswith(f" {start} ")]
    return found


def test_every_number_of_a_line(tmp_path):
    text = shown(write_accuracies(tmp_path, {"zeros": [0.1] * 3, "he_normal": [0.9, 0.8, 0.85]}))
    assert line(text, "he_normal") == [
        "he_normal", "★", "stable", "0.5→0.5", "50", "0", "0.075", "0.15", "85.0", "±", "12.4",
    ]  # fmt: skip
    assert line(text, "zeros")[-3:] == ["10.0", "±", "0.0"]
    assert text.index("he_normal") < text.index("zeros")
    assert "relu" in text
    assert "digits: 6 lanes, 3 seeds" in text
    assert "★: better than every other" in text


def test_a_tie_has_no_star(tmp_path):
    text = shown(write_accuracies(tmp_path, {"a": [0.9, 0.8], "b": [0.8, 0.9]}))
    assert not any("★" in each for each in text.splitlines() if each.startswith(" "))


def test_verdicts_signals_and_lost_runs(tmp_path):
    config = {"init": "a", "activation": "relu"}
    rows = [lane(config, seed, 0.5, verdict="exploding") for seed in range(6)]
    rows += [diverged(config, seed) for seed in (6, 7)]
    text = shown(write_sweep(tmp_path, {"init": ["a"], "activation": ["relu"]}, rows))
    assert line(text, "a")[:5] == ["a", "exploding", "6/8", "2", "0.5→50"]
    assert "lost: runs that diverged" in text


def test_verdict_words():
    assert verdict_text(["stable"] * 4) == "stable"
    assert verdict_text(["new\x1bword"]) == "new\\x1bword"
    assert verdict_text(["stable", "vanishing", "stable"]) == "stable 2/3"
    assert verdict_text([]) == "–"


def test_an_interrupted_sweep_says_how_many_lanes_it_has(tmp_path):
    rows = [lane({"init": "a"}, seed, 0.9) for seed in range(3)]
    text = shown(write_sweep(tmp_path, {"init": ["a", "b"]}, rows))
    assert "3 of 6 lanes" in text


def test_other_axes_have_columns_if_they_vary(tmp_path):
    axes = {"init": ["a"], "lr": [0.1, 0.01], "gain": [1.0]}
    rows = [lane({"init": "a", "lr": lr, "gain": 1.0}, seed, 0.5 + lr)
            for lr in axes["lr"] for seed in range(2)]  # fmt: skip
    text = shown(write_sweep(tmp_path, axes, rows))
    assert "lr" in text.splitlines()[2].split()
    assert "gain" not in text
    assert "0.01" in text


def test_without_accuracy_the_loss_has_the_interval(tmp_path):
    none = dict.fromkeys(("validation_accuracy", "validation_accuracy_curve"))
    rows = [lane({"init": "a"}, seed, 0.5 + seed / 10, **none) for seed in range(3)]
    text = shown(write_sweep(tmp_path, {"init": ["a"]}, rows, metric="validation_loss"))
    assert "accuracy" not in text
    assert line(text, "a")[-3:] == ["0.40", "±", "0.25"]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_nothing_is_cut_off(tmp_path, width):
    label = "uniform(minval=-0.125, maxval=0.125)"
    axes = {"init": [label], "activation": ["relu"]}
    rows = [
        lane({"init": label, "activation": "relu"}, seed, 0.5, verdict="exploding",
             activation_std=[3e-6, 1.0, 5e12, 1.0]) for seed in range(7)
    ]  # fmt: skip
    rows.append(diverged({"init": label, "activation": "relu"}, 7))
    text = shown(write_sweep(tmp_path, axes, rows), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    table = text.split("std: of")[0]
    pieces = "".join(each[: table.index("verdict") - table.index("start")].strip()
                     for each in table.splitlines()[5:])  # fmt: skip
    assert pieces.replace(" ", "") == label.replace(" ", "")
    assert "3e-6→5e12" in table
    assert "45.0 ± 11.8" in table


ODD = ["[red]x[/red]", "[/]", "a\x1b[31mb", "tab\tand\nline", ":smiley:", "$x^$", "_hidden", "日本"]


def test_labels_are_shown_as_they_are(tmp_path):
    text = shown(write_accuracies(tmp_path, {label: [0.9, 0.8] for label in ODD}), 120)
    for label in ("[red]x[/red]", "[/]", r"a\x1b[31mb", r"tab\tand\nline", ":smiley:", "日本"):
        assert f" {label} " in text
    assert "\x1b" not in text


def test_sentences_are_plain_text_too(tmp_path):
    (found,) = Results(write_accuracies(tmp_path, {"a\x1b[31m": [0.9, 0.8]})).best()
    assert r"a\x1b[31m is the only start tried" in found.sentence


def test_verdicts_have_colours(tmp_path):
    directory = write_accuracies(tmp_path, {"a": [0.9, 0.8], "b": [0.8, 0.9]})
    assert "\x1b[32mstable" in shown(directory, force_terminal=True, color_system="standard")


@pytest.mark.parametrize(("value", "half", "text"), [
    (0.0812, 0.0041, "0.0812 ± 0.0041"),
    (2.3026, 0.5, "2.30 ± 0.50"),
    (123.4, 56.7, "123 ± 57"),
    (1.5e9, 2e8, "1.5e9 ± 2e8"),
    (2.0, float("inf"), "2"),
])  # fmt: skip
def test_losses_keep_two_digits_of_their_error(value, half, text):
    assert with_half(value, half) == text


def test_numbers_that_are_none():
    assert (compact(float("nan")), compact(float("inf"))) == ("–", "inf")
    assert Metric("validation_accuracy").text(float("nan")) == "–"
