"""What is said about sweeps whose answer is known, word for word where it matters."""

import numpy as np
import pytest
from report.synthetic import diverged, lane, write_accuracies, write_sweep

from jinit.report import Results
from jinit.report.facets import Candidate, Facet
from jinit.report.metric import Metric
from jinit.report.recommendation import recommend

RELU = {"activation": "relu"}


def only(directory):
    (found,) = Results(directory).best()
    return found


def test_a_clear_winner_is_called_best(tmp_path):
    accuracies = {
        "zeros": [0.1, 0.1, 0.1, 0.1],
        "he_normal": [0.97, 0.98, 0.96, 0.97],
        "xavier_normal": [0.96, 0.972, 0.951, 0.961],
    }
    found = only(write_accuracies(tmp_path, accuracies))
    assert found.clear
    assert found.tied == ()
    assert (found.facet, found.leader) == (RELU, {"init": "he_normal"})
    assert found.sentence == (
        "relu: start from he_normal — validation accuracy 97.0 % ± 1.3, better than every other "
        "start (next xavier_normal: 0.9 points behind [0.8, 1.0], 4 paired seeds); "
        "zeros did not learn."
    )


def test_pairs_decide_where_means_overlap(tmp_path):
    """Seeds vary by 10 points, the starts differ by 1 in every seed: only pairing can tell."""
    values = [0.75, 0.85, 0.65, 0.95]
    accuracies = {"a": values, "b": [value - 0.01 for value in values]}
    found = only(write_accuracies(tmp_path, accuracies))
    assert found.clear
    assert found.interval[0] < found.mean - 0.01


def test_ties_are_not_called_best(tmp_path):
    accuracies = {
        "he_normal": [0.972, 0.974, 0.971, 0.975],
        "he_uniform": [0.972, 0.970, 0.974, 0.968],
        "zeros": [0.1] * 4,
        "constant": [0.1] * 4,
    }
    found = only(write_accuracies(tmp_path, accuracies))
    assert not found.clear
    assert found.tied == ({"init": "he_uniform"},)
    assert found.sentence == (
        "relu: he_normal and he_uniform cannot be told apart with 4 seeds (97.3 % to 97.1 %, true "
        "difference at most 0.9 points); use either; zeros and constant did not learn."
    )


def test_a_wide_tie_does_not_call_starts_interchangeable(tmp_path):
    found = only(write_accuracies(tmp_path, {"a": [0.9, 0.95, 0.8], "b": [0.95, 0.6, 0.9]}))
    assert not found.clear
    assert found.sentence.endswith("use a, or run more seeds to tell.")


def test_zero_variance_is_decided_by_the_values(tmp_path):
    equal = only(write_accuracies(tmp_path / "equal", {"a": [0.9] * 3, "b": [0.9] * 3}))
    apart = only(write_accuracies(tmp_path / "apart", {"a": [0.9] * 3, "b": [0.8] * 3}))
    assert not equal.clear
    assert equal.sentence == (
        "relu: a and b cannot be told apart with 3 seeds (90.0 %); use either."
    )
    assert apart.clear
    assert "b: 10.0 points behind [10.0, 10.0], 3 paired seeds" in apart.sentence


def test_nothing_is_recommended_where_nothing_learned(tmp_path):
    found = only(write_accuracies(tmp_path, {"a": [0.09, 0.12, 0.1], "b": [0.1, 0.1, 0.09]}))
    assert found.leader is None
    assert not found.clear
    assert found.tied == ()
    assert found.sentence == (
        "relu: no start learned better than guessing (best: a with validation accuracy 10.3 % ± "
        "3.8; a guess has 10.0 %); change the learning rate, the number of steps or the depth, "
        "then compare starts again."
    )


def test_the_sweeps_own_chance_level_is_used(tmp_path):
    """A network that always names the most frequent class is not above chance."""
    constant = {"a": [0.13] * 4, "b": [0.1] * 4}
    assert only(write_accuracies(tmp_path / "classes", constant)).leader == {"init": "a"}
    assert only(write_accuracies(tmp_path / "chance", constant, chance=0.13)).leader is None


def test_a_diverged_lane_counts_as_chance_and_is_named(tmp_path):
    axes = {"init": ["a", "b"], "activation": ["relu"]}
    rows = [lane({"init": init, **RELU}, seed, value) for init, value in (("a", 0.97), ("b", 0.9))
            for seed in range(7)]  # fmt: skip
    rows += [diverged({"init": "a", **RELU}, 7), lane({"init": "b", **RELU}, 7, 0.9)]
    found = only(write_sweep(tmp_path, axes, rows))
    assert found.leader == {"init": "b"}
    assert found.tied == ({"init": "a"},)
    assert found.comparisons[0].difference is not None
    assert found.comparisons[0].difference.mean == pytest.approx((7 * (0.9 - 0.97) + 0.8) / 8)
    assert "b and a (1 of 8 diverged) cannot be told apart" in found.sentence
    assert found.sentence.endswith("use b, which never diverged.")


def test_every_lane_diverged(tmp_path):
    rows = [diverged({"init": init, **RELU}, seed) for init in "ab" for seed in range(2)]
    for metric in ("validation_accuracy", "validation_loss"):
        axes = {"init": ["a", "b"], "activation": ["relu"]}
        found = only(write_sweep(tmp_path / metric, axes, rows, metric=metric))
        assert found.leader is None
        assert "(every run diverged)" in found.sentence


def test_a_diverged_loss_counts_as_the_worst(tmp_path):
    axes = {"init": ["a", "b"]}
    rows = [lane({"init": "a"}, seed, 0.9) for seed in range(2)] + [diverged({"init": "a"}, 2)]
    rows += [lane({"init": "b"}, seed, 0.5) for seed in range(3)]
    found = only(write_sweep(tmp_path, axes, rows, metric="validation_loss", classes=None))
    assert found.leader == {"init": "a"}
    assert found.mean == pytest.approx((0.1 + 0.1 + 0.5) / 3)


def test_one_seed_claims_nothing(tmp_path):
    found = only(write_accuracies(tmp_path, {"a": [0.9], "b": [0.8]}))
    assert not found.clear
    assert found.interval == (-np.inf, np.inf)
    assert found.sentence == (
        "relu: too few seeds to compare starts; a came first with validation accuracy 90.0 %, "
        "which may be luck: run at least 3 seeds, better 8."
    )


def test_one_start_has_nothing_to_compare(tmp_path):
    found = only(write_accuracies(tmp_path, {"a": [0.9, 0.9]}))
    assert not found.clear
    assert found.sentence == ("relu: a is the only start tried — validation accuracy 90.0 % ± 0.0.")


def test_a_tie_with_starts_that_did_not_learn_leaves_the_leader(tmp_path):
    found = only(write_accuracies(tmp_path, {"a": [0.2, 0.2, 0.2], "b": [0.1, 0.2, 0.1]}))
    assert found.tied == ({"init": "b"},)
    assert found.sentence == (
        "relu: a is the only start that learned — validation accuracy 20.0 % ± 0.0; "
        "b did not learn."
    )


def test_without_accuracy_the_loss_decides(tmp_path):
    axes = {"init": ["a", "b"], "depth": [2]}
    none = dict.fromkeys(("validation_accuracy", "validation_accuracy_curve"))
    rows = [lane({"init": init, "depth": 2}, seed, value, **none)
            for init, value in (("a", 0.5), ("b", 0.75)) for seed in range(3)]  # fmt: skip
    found = only(write_sweep(tmp_path, axes, rows, metric="validation_loss", classes=None))
    assert found.clear
    assert found.sentence == (
        "start from b — validation loss 0.25 ± 0, better than every other start "
        "(next a: 0.25 behind [0.25, 0.25], 3 paired seeds)."
    )


def test_missing_lanes_are_paired_on_common_seeds(tmp_path):
    """`b` has only seeds 0 and 1, where it loses; `c`, with a single lucky seed, cannot lead."""
    rows = [lane({"init": "a"}, seed, value) for seed, value in enumerate([0.9, 0.8, 0.7, 0.6])]
    rows += [lane({"init": "b"}, seed, value) for seed, value in enumerate([0.89, 0.79])]
    rows += [lane({"init": "c"}, 0, 0.99)]
    found = only(write_sweep(tmp_path, {"init": ["a", "b", "c"]}, rows))
    assert found.leader == {"init": "b"}
    assert [each.difference and each.difference.count for each in found.comparisons] == [2, None]
    assert not found.clear


def test_facets_and_learning_rates(tmp_path):
    axes = {"init": ["a", "b"], "activation": ["relu", "tanh"], "depth": [2, 4], "lr": [0.1, 1.0]}
    best = {("relu", 2): ("a", 0.1), ("relu", 4): ("b", 1.0)}
    rows = [
        lane(config, seed, 0.95 if best.get((act, depth)) == (init, lr) else 0.5 + 0.1 * lr)
        for init in "ab" for act in ("relu", "tanh") for depth in (2, 4) for lr in (0.1, 1.0)
        for config in [{"init": init, "activation": act, "depth": depth, "lr": lr}]
        for seed in range(3)
    ]  # fmt: skip
    found = Results(write_sweep(tmp_path, axes, rows)).best()
    assert [each.facet for each in found] == [
        {"activation": act, "depth": depth} for act in ("relu", "tanh") for depth in (2, 4)
    ]
    assert found[0].leader == {"init": "a", "lr": 0.1}
    assert found[1].sentence.startswith("relu, depth 4: start from b [lr=1] — ")
    assert [each.clear for each in found] == [True, True, False, False]


@pytest.mark.parametrize("candidates", [2, 3, 12])
def test_equal_starts_are_rarely_called_best(candidates):
    """The promise in the module's docstring, with correlated seeds as pairing has them.

    At most 5 % of sweeps are expected; above 95 of 1,000 the chance is below 1e-8.
    """
    generator = np.random.default_rng(candidates)
    false = 0
    for _ in range(1000):
        values = generator.normal(0.9, 0.01, (candidates, 8)) + generator.normal(0, 0.02, 8)
        starts = [Candidate({"init": str(index)}, str(index), (), dict(enumerate(line)), ())
                  for index, line in enumerate(values)]  # fmt: skip
        starts.sort(key=lambda start: -start.interval.mean)
        false += recommend(Facet({}, "", tuple(starts)), Metric("validation_accuracy")).clear
    assert false <= 95
    if candidates == 2:
        assert false >= 15, "the worst case should come near its 5 %"
