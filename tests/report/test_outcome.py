"""Outcomes of runs: against a guess with its uncertainty, and against the best configuration."""

import math

import numpy as np
import pytest
from report.synthetic import diverged, lane, write_accuracies, write_sweep

from jinit.report import Results


def outcomes(directory):
    return Results(directory).frame()["outcome"].tolist()


def test_the_four_outcomes(tmp_path):
    """At 100 examples a guess of 10 % has a standard error of 3 points."""
    values = {"good": [0.98], "fair": [0.56], "slow": [0.5], "near": [0.17], "guess": [0.1]}
    directory = write_accuracies(tmp_path, values, validation_examples=100)
    assert outcomes(directory) == [
        "learned",
        "learned",
        "learned slowly",
        "did not learn",
        "did not learn",
    ]
    rows = [lane({"init": "a"}, 0, 0.9), diverged({"init": "a"}, 1)]
    assert outcomes(write_sweep(tmp_path / "lost", {"init": ["a"]}, rows)) == [
        "learned",
        "diverged",
    ]


@pytest.mark.parametrize("chance", [0.1, 0.3, 37 / 360, 1.0])
def test_the_accuracy_of_a_guess_in_float32_is_not_learning(tmp_path, chance):
    value = float(np.float32(chance))
    directory = write_accuracies(tmp_path, {"a": [value] * 4}, chance=chance)
    assert outcomes(directory) == ["did not learn"] * 4
    (best,) = Results(directory).best()
    assert best.leader is None


@pytest.mark.parametrize(
    ("loss", "error", "expected"),
    [
        (0.05, 0.01, "learned"),
        (0.33, 0.02, "learned slowly"),
        (0.33, 0.06, "unclear"),
        (0.47, 0.06, "did not learn"),
        (0.5, 0.0, "did not learn"),
        (0.7, 0.01, "did not learn"),
    ],
)
def test_a_regression_is_compared_with_the_mean_of_the_targets(tmp_path, loss, error, expected):
    none = dict.fromkeys(("validation_accuracy", "validation_accuracy_curve"))
    rows = [
        lane({"init": "best"}, 0, 0.99, **none),
        lane({"init": "one"}, 0, 1 - loss, validation_loss_error=error, **none),
    ]
    changes = {"metric": "validation_loss", "classes": None, "chance": 0.5}
    directory = write_sweep(tmp_path, {"init": ["best", "one"]}, rows, **changes)
    assert outcomes(directory) == ["learned", expected]


def test_without_a_known_guess_the_untrained_network_stands_for_it(tmp_path):
    rows = [lane({"init": "a"}, 0, 0.9), lane({"init": "b"}, 0, -1.4)]
    changes = {"metric": "validation_loss", "classes": None}
    directory = write_sweep(tmp_path, {"init": ["a", "b"]}, rows, **changes)
    assert outcomes(directory) == ["learned", "did not learn"]


def test_the_initialization_has_a_label_of_its_own(tmp_path):
    rows = [lane({"init": "a"}, seed, 0.98, at_initialization="vanishing") for seed in range(4)]
    rows += [lane({"init": "b"}, seed, 0.09) for seed in range(4)]
    frame = Results(write_sweep(tmp_path, {"init": ["a", "b"]}, rows)).frame()
    labels = frame[["at_initialization", "outcome"]].drop_duplicates().to_numpy().tolist()
    assert labels == [["vanishing", "learned"], ["stable", "did not learn"]]
    place = list(frame.columns).index("at_initialization")
    assert frame.columns[place + 1] == "outcome"


def test_runs_that_learn_well_beyond_chance_need_no_more_seeds(tmp_path):
    (best,) = Results(write_accuracies(tmp_path, {"a": [0.7, 0.62]}, chance=0.5)).best()
    assert best.leader == {"init": "a"}


def test_a_candidate_that_learns_in_some_runs_is_no_failure(tmp_path):
    accuracies = {"a": [0.9] * 8, "b": [0.9, 0.9, *[0.1] * 6]}
    (best,) = Results(write_accuracies(tmp_path, accuracies)).best()
    assert best.sentence.endswith("; too few runs learned to tell whether b learned.")
    assert math.isfinite(best.mean)
