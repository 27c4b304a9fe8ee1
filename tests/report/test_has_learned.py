"""When runs have learned, have not, or are too few to tell."""

import pytest
from report.synthetic import lane, only_recommendation, write_accuracies, write_sweep

from jinit.report.sweep.intervals import MeanInterval
from jinit.report.sweep.metric import Metric


def test_few_seeds_above_chance_are_not_called_a_failure(tmp_path):
    recommendation = only_recommendation(
        write_accuracies(
            tmp_path,
            {"a": [0.7, 0.62], "b": [0.6, 0.68]},
            chance=0.5,
            validation_examples=20,
        )
    )
    assert recommendation.leader is None
    assert recommendation.sentence == (
        "relu: too few seeds to tell whether a or b learned better than guessing (best: a with "
        "validation accuracy 66.0 % (62.0 to 70.0); a guess has 50.0 %); run at least 4 seeds, "
        "better 8."
    )


@pytest.mark.parametrize("accuracies", [[0.66, 0.66], [0.68, 0.62], [0.7, 0.62]])
def test_two_seeds_near_a_frequent_class_are_too_few(tmp_path, accuracies):
    """The most frequent class has 63 % of 114 examples, with a standard error of 4 points."""
    changes = {"chance": 0.63, "classes": 2, "validation_examples": 114}
    recommendation = only_recommendation(write_accuracies(tmp_path, {"a": accuracies}, **changes))
    assert recommendation.leader is None
    assert "too few seeds to tell whether a learned better than guessing" in recommendation.sentence
    assert recommendation.sentence.endswith("run at least 4 seeds, better 8.")


def test_a_regression_halfway_to_its_best_is_no_failure(tmp_path):
    """A loss of 0.33 against 0.5 for a guess, of which the validation examples are too few."""
    none = dict.fromkeys(("validation_accuracy", "validation_accuracy_curve"))
    rows = [
        lane({"init": init}, seed, 1 - loss - 0.001 * seed, validation_loss_error=0.06, **none)
        for init, loss in (("a", 0.05), ("b", 0.33))
        for seed in range(8)
    ]
    changes = {"metric": "validation_loss", "classes": None, "chance": 0.5}
    both = only_recommendation(write_sweep(tmp_path / "two", {"init": ["a", "b"]}, rows, **changes))
    assert both.sentence.startswith("use a, with validation loss 0.0535 ± 0.0020, better than")
    assert both.sentence.endswith("; too few validation examples to tell whether b learned.")
    alone = only_recommendation(write_sweep(tmp_path / "one", {"init": ["b"]}, rows[8:], **changes))
    assert alone.sentence == (
        "too few validation examples to tell whether b learned better than guessing (best: b with "
        "validation loss 0.3335 ± 0.0020; a guess has 0.5); validate on more examples, or train "
        "more steps."
    )


def test_a_candidate_with_few_seeds_is_named_apart_from_failures(tmp_path):
    accuracies = {"a": [0.9, 0.91, 0.9], "b": [0.1, 0.9, 0.1], "zeros": [0.1, 0.1, 0.1]}
    recommendation = only_recommendation(write_accuracies(tmp_path, accuracies))
    assert recommendation.sentence.endswith(
        "; zeros did not learn; too few seeds to tell whether b learned."
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.2, 0.4, True), (0.2, 0.6, False), (0.6, 0.8, False)]
)
def test_a_loss_has_learned_if_its_whole_interval_is_below_chance(low, high, expected):
    interval = MeanInterval(mean=(low + high) / 2, low=low, high=high, count=8)
    assert Metric("validation_loss", chance=0.5).has_learned(interval) is expected


def test_an_accuracy_has_learned_if_its_whole_interval_is_above_chance():
    interval = MeanInterval(mean=0.55, low=0.45, high=0.65, count=8)
    assert not Metric("validation_accuracy", chance=0.5).has_learned(interval)
    assert Metric("validation_accuracy", chance=0.4).has_learned(interval)
