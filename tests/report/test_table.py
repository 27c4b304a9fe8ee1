"""The table as plain text, at widths of 60 to 120 columns."""

import io
from itertools import product

import pytest
from report.synthetic import diverged, lane, write_accuracies, write_sweep
from rich.console import Console

from jinit.report import Results
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.text_columns import majority_text
from jinit.report.text import compact_text, interval_text


def table_text(directory, width=100, **options):
    stream = io.StringIO()
    Console(file=stream, width=width, **options).print(Results(directory).table())
    return stream.getvalue()


def line(text, label):
    (words,) = [each.split() for each in text.splitlines() if each.startswith(f" {label} ")]
    return words


def test_every_number_of_a_line(tmp_path):
    text = table_text(
        write_accuracies(tmp_path, {"zeros": [0.1] * 4, "he_normal": [0.9, 0.8, 0.85, 0.85]})
    )
    assert line(text, "he_normal") == [
        "he_normal", "★", "stable", "learned",
        "0.5→0.5", "50", "0", "0.075", "0.15", "85.0", "±", "6.5",
    ]  # fmt: skip
    assert line(text, "zeros")[-3:] == ["10.0", "±", "0.0"]
    assert text.index("he_normal") < text.index("zeros")
    assert "relu" in text
    assert "digits: 8 runs, 4 seeds" in text
    assert "★: better than every other" in text
    assert "at initialization: jinit.diagnose on the untrained network" in text


def test_few_seeds_show_their_range(tmp_path):
    text = table_text(write_accuracies(tmp_path, {"a": [0.9, 0.8, 0.85]}))
    assert line(text, "a")[-2:] == ["85.0", "(80.0–90.0)"]
    assert line(table_text(write_accuracies(tmp_path / "one", {"a": [0.9]})), "a")[-1] == "90.0"


def test_a_tie_has_no_star(tmp_path):
    text = table_text(write_accuracies(tmp_path, {"a": [0.9, 0.8], "b": [0.8, 0.9]}))
    assert not any("★" in each for each in text.splitlines() if each.startswith(" "))


def test_verdicts_signals_and_diverged_runs(tmp_path):
    config = {"init": "a", "activation": "relu"}
    rows = [lane(config, seed, 0.5, at_initialization="exploding") for seed in range(6)]
    rows += [diverged(config, seed) for seed in (6, 7)]
    text = table_text(write_sweep(tmp_path, {"init": ["a"], "activation": ["relu"]}, rows))
    assert line(text, "a")[:7] == ["a", "exploding", "6/8", "learned", "6/8", "2", "0.5→50"]
    assert "diverged: runs that diverged; their accuracy" in text


def test_the_most_common_word_is_shown():
    assert majority_text(["stable"] * 4) == "stable"
    assert majority_text(["new\x1bword"]) == "new\\x1bword"
    assert majority_text(["stable", "vanishing", "stable"]) == "stable 2/3"
    assert majority_text([]) == "–"


def test_an_interrupted_sweep_says_how_many_lanes_it_has(tmp_path):
    rows = [lane({"init": "a"}, seed, 0.9) for seed in range(3)]
    text = table_text(write_sweep(tmp_path, {"init": ["a", "b"]}, rows))
    assert "3 of 6 runs" in text


def test_other_axes_have_columns_if_they_vary(tmp_path):
    axes = {"init": ["a"], "lr": [0.1, 0.01], "gain": [1.0]}
    rows = [
        lane({"init": "a", "lr": lr, "gain": 1.0}, seed, 0.5 + lr)
        for lr in axes["lr"]
        for seed in range(2)
    ]
    text = table_text(write_sweep(tmp_path, axes, rows))
    assert "lr" in text.splitlines()[3].split()
    assert "gain" not in text
    assert "0.01" in text


def test_without_accuracy_the_loss_has_the_interval(tmp_path):
    none = dict.fromkeys(("validation_accuracy", "validation_accuracy_curve"))
    rows = [lane({"init": "a"}, seed, 0.5 + seed / 10, **none) for seed in range(3)]
    text = table_text(write_sweep(tmp_path, {"init": ["a"]}, rows, metric="validation_loss"))
    assert "accuracy\n" not in text
    assert line(text, "a")[-2:] == ["0.4", "(0.3–0.5)"]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_nothing_is_cut_off(tmp_path, width):
    label = "uniform(minval=-0.125, maxval=0.125)"
    axes = {"init": [label], "activation": ["relu"]}
    config, stds = {"init": label, "activation": "relu"}, [3e-6, 1.0, 5e12, 1.0]
    rows = [
        lane(config, seed, 0.5, at_initialization="exploding", activation_std=stds)
        for seed in range(7)
    ]
    rows.append(diverged(config, 7))
    text = table_text(write_sweep(tmp_path, axes, rows), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    table = text.split("at initialization:")[0]
    lines = table.splitlines()
    width_of_labels = next(each for each in lines if "initial-" in each).index("initial-")
    pieces = "".join(each[:width_of_labels].strip() for each in lines[6:])
    assert pieces.replace(" ", "") == label.replace(" ", "")
    assert "45.0 ± 11.8" in table
    assert ("3e-6→5e12" in table) == (width >= 80)
    assert ("left out in this narrow terminal: sat. %" in text) == (width <= 80)


def test_a_narrow_terminal_keeps_the_loss_that_decides(tmp_path):
    rows = [lane({"init": "a"}, seed, 0.5 + seed / 10) for seed in range(4)]
    directory = write_sweep(tmp_path, {"init": ["a"]}, rows, metric="validation_loss")
    assert "0.35 ± 0.21" in table_text(directory, 48)


ODD = ["[red]x[/red]", "[/]", "a\x1b[31mb", "tab\tand\nline", ":smiley:", "$x^$", "_hidden", "日本"]


def test_labels_are_shown_unchanged_and_escaped(tmp_path):
    text = table_text(write_accuracies(tmp_path, {label: [0.9, 0.8] for label in ODD}), 120)
    for label in ("[red]x[/red]", "[/]", r"a\x1b[31mb", r"tab\tand\nline", ":smiley:", "日本"):
        assert f" {label} " in text
    assert "\x1b" not in text


def test_sentences_are_escaped_too(tmp_path):
    (recommendation,) = Results(write_accuracies(tmp_path, {"a\x1b[31m": [0.9, 0.8]})).best()
    assert r"a\x1b[31m is the only candidate" in recommendation.sentence


def test_outcomes_have_colors(tmp_path):
    directory = write_accuracies(tmp_path, {"a": [0.9, 0.8], "b": [0.8, 0.9]})
    assert "\x1b[32mlearned" in table_text(directory, force_terminal=True, color_system="standard")


@pytest.mark.parametrize(("value", "half", "text"), [
    (0.0812, 0.0041, "0.0812 ± 0.0041"),
    (2.3026, 0.5, "2.30 ± 0.50"),
    (123.4, 56.7, "123 ± 57"),
    (1.5e9, 2e8, "1.5e9 ± 2e8"),
    (2.0, float("inf"), "2"),
])  # fmt: skip
def test_losses_keep_two_digits_of_their_error(value, half, text):
    assert interval_text(value, half) == text


def test_numbers_that_are_not_finite():
    assert (compact_text(float("nan")), compact_text(float("inf"))) == ("–", "inf")
    assert Metric("validation_accuracy").metric_text(float("nan")) == "–"


TUNED_AXES = {
    "init": ["activation_scaled(gelu)", "orthogonal(scale=1.4142135)"],
    "lr": [0.0001, 0.00316],
    "l2": [0.0, 0.0001],
    "batch_size": [32, 512],
    "optimizer": ["adamw", "momentum"],
}


@pytest.mark.parametrize("width", [48, 60, 80, 100, 120])
@pytest.mark.parametrize("metric", ["validation_accuracy", "validation_loss"])
def test_tuned_values_and_the_metric_stay_in_a_narrow_terminal(tmp_path, width, metric):
    rows = [
        lane(config, seed, 0.5 + 0.05 * seed + 0.1 * (config["lr"] < 0.001))
        for config in [dict(zip(TUNED_AXES, values, strict=True))
                       for values in product(*TUNED_AXES.values())]
        for seed in range(4)
    ]  # fmt: skip
    roles = {"compare": ["init"], "tune": ["lr", "l2", "batch_size", "optimizer"]}
    directory = write_sweep(tmp_path, TUNED_AXES, rows, metric=metric, **roles)
    text = table_text(directory, width)
    table = text.split("outcome: did")[0]
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    number = {"validation_accuracy": "67.5 ± 10.3", "validation_loss": "0.33 ± 0.10"}[metric]
    assert table.count(number) == 2
    together = "".join(table.split())
    assert "0.0001" in together
    assert "adamw" in together
    assert "learning rates, values of l2, batch sizes and optimizers: the best" in " ".join(
        text.split()
    )
    assert ("lr=0.0001" in together) == (width < 80)


def test_a_metric_of_another_name_and_the_test_metric_have_columns(tmp_path):
    rows = [
        lane({"init": "a"}, seed, 0.5, validation_reward=10.0 + seed, test_accuracy=0.75)
        for seed in range(4)
    ]
    changes = {"metric": "validation_reward", "larger_is_better": True}
    directory = write_sweep(tmp_path, {"init": ["a"]}, rows, test_metric="test_accuracy", **changes)
    text = table_text(directory, 140)
    assert line(text, "a")[-6:] == ["75.0", "±", "0.0", "11.5", "±", "2.1"]
    assert "test" in text.splitlines()[2] + text.splitlines()[1]
    assert "reward" in text
