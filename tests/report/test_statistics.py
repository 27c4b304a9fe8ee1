"""Statistics of the comparison against scipy, and the errors that they promise by simulation."""

import numpy as np
import pytest
from report.synthetic import diverged, grid, lane, write_sweep
from scipy import stats

from jinit.report import Results
from jinit.report.sweep.bootstrap import best_probabilities, bootstrap_interval
from jinit.report.sweep.comparison_frame import wilcoxon_p_value
from jinit.report.sweep.corrections import holm, leader_corrected, leader_discovery
from jinit.report.sweep.effect_size import paired_cohens_d, paired_hedges_g
from jinit.report.sweep.intervals import MeanInterval
from jinit.report.sweep.paired import paired_interval, paired_p_value

SAMPLES = [
    np.random.default_rng(seed).normal(0.9, 0.02, (2, size)) for seed, size in enumerate((3, 8, 30))
]


@pytest.mark.parametrize("pair", SAMPLES, ids=np.size)
def test_p_values_are_those_of_scipy(pair):
    first, second = pair
    interval = paired_interval(dict(enumerate(first)), dict(enumerate(second)))
    expected = stats.ttest_rel(first, second).pvalue
    assert paired_p_value(interval) == pytest.approx(expected, rel=1e-12)
    assert wilcoxon_p_value(first - second) == stats.wilcoxon(first, second).pvalue


@pytest.mark.parametrize("values", [SAMPLES[1][0], SAMPLES[2][1]], ids=len)
def test_the_bootstrap_interval_is_that_of_scipy(values):
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=9_999, method="BCa", rng=np.random.default_rng(0)
    )
    assert bootstrap_interval(values) == tuple(found.confidence_interval)
    assert bootstrap_interval(values) == bootstrap_interval(values)


def test_bootstrap_intervals_of_few_and_odd_values():
    assert np.isnan(bootstrap_interval([0.5])).all()
    assert np.isnan(bootstrap_interval([0.5, np.nan])).all()
    assert bootstrap_interval([0.25, 0.75]) == (0.25, 0.75)
    low, high = bootstrap_interval([0.1, 0.1, 0.1, 0.97])
    assert 0.1 <= low < 0.3175 < high <= 0.97


def test_p_values_without_a_spread_or_an_interval():
    assert paired_p_value(MeanInterval(0.1, 0.1, 0.1, 5)) == 0.0
    assert paired_p_value(MeanInterval(0.0, 0.0, 0.0, 5)) == 1.0
    assert paired_p_value(MeanInterval(0.1, -np.inf, np.inf, 2)) == 1.0
    assert wilcoxon_p_value(np.zeros(6)) == 1.0
    assert wilcoxon_p_value(np.array([0.5, np.nan])) == 1.0


def test_corrections():
    p_values = [0.01, 0.04, 0.03, 0.005]
    assert holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert leader_corrected(p_values) == pytest.approx([0.075, 0.15, 0.15, 0.05])
    expected = stats.false_discovery_control(p_values) * 2.5
    assert leader_discovery(p_values) == pytest.approx(expected.tolist())
    assert holm([]) == leader_corrected([]) == leader_discovery([]) == []
    assert leader_corrected([0.9] * 5) == [1.0] * 5


def test_effect_sizes():
    first, second = SAMPLES[1]
    differences = first - second
    t_value = stats.ttest_rel(first, second).statistic
    assert paired_cohens_d(differences) == pytest.approx(t_value / np.sqrt(8))
    # Without correlation the average spread is that of two groups, so g_av is Hedges' g.
    pooled = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    assert paired_hedges_g(first, second) == pytest.approx(
        (1 - 3 / (4 * (8 + 8) - 9)) * differences.mean() / pooled
    )
    assert paired_cohens_d(np.full(4, 0.5)) == np.inf
    assert np.isnan(paired_cohens_d(np.zeros(4)))
    assert np.isnan(paired_hedges_g(np.ones(1), np.zeros(1)))


def test_the_probability_of_being_best_is_paired():
    """Seeds vary by ten times the difference, which is the same in every seed."""
    seeds = np.random.default_rng(0).normal(0, 0.1, 8)
    assert best_probabilities(np.array([seeds + 0.01, seeds])).tolist() == [1.0, 0.0]
    found = best_probabilities(np.array([[0.1, 0.3, 0.2], [0.3, 0.1, 0.2], [np.nan] * 3]))
    assert found == pytest.approx([0.5, 0.5, 0.0], abs=0.02)
    assert np.isnan(best_probabilities(np.ones((2, 2)))).all()


AXES = {"init": ["a", "b", "zeros"], "activation": ["relu", "tanh"], "lr": [0.1, 0.01]}


def varied(config, seed):
    value = {"a": 0.9, "b": 0.85, "zeros": 0.1}[config["init"]]
    noise = 0.01 * np.sin(17 * seed + len(config["activation"]) + 3 * (config["init"] == "b"))
    row = lane(config, seed, value - 0.2 * (config["lr"] > 0.05) + noise)
    return row | {"test_accuracy": row["validation_accuracy"] - 0.05}


def test_the_frame_of_a_comparison(tmp_path):
    results = Results(write_sweep(tmp_path, AXES, grid(AXES, 8, varied)))
    frame = results.comparison()
    assert frame["candidate"].tolist()[:2] == ["a [lr=0.01]", "b [lr=0.01]"]
    assert frame["activation"].tolist() == ["relu"] * 3 + ["tanh"] * 3
    assert frame["is_leader"].tolist() == [True, False, False] * 2
    assert frame["is_clear"].tolist() == [True, False, False] * 2
    assert frame["is_worse"].tolist() == [False, True, True] * 2
    assert frame.groupby("activation")["best_probability"].sum().tolist() == [1.0, 1.0]
    leader, other = frame.iloc[0], frame.iloc[1]
    assert np.isnan(leader["p_t"])
    records = results.frame().query("activation == 'relu' and lr == 0.01")
    first, second = (records.query(f"init == '{name}'")["validation_accuracy"] for name in "ab")
    assert other["difference"] == pytest.approx(first.mean() - second.to_numpy().mean())
    assert other["p_t"] == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=0.01)
    assert other["p_wilcoxon"] == stats.wilcoxon(first, second).pvalue
    assert leader["median"] == first.median()
    losses = results.comparison(metric="validation_loss")
    first, second = (records.query(f"init == '{name}'")["validation_loss"] for name in "ab")
    expected = stats.ttest_rel(first, second).pvalue
    assert losses["p_t"][1] == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match=r"unknown metric 'accurac'; did you mean"):
        results.comparison(metric="accurac")


def test_another_metric_is_compared_for_the_values_that_validation_chose(tmp_path):
    rows = [row | {"test_accuracy": 1 - row["test_accuracy"]} for row in grid(AXES, 4, varied)]
    results = Results(write_sweep(tmp_path, AXES, rows))
    frame = results.comparison(metric="test_accuracy")
    assert frame["lr"].tolist() == [0.01] * 4 + [0.01, 0.01]
    assert frame["init"].tolist() == ["zeros", "b", "a"] * 2
    loss = results.comparison(compare="lr", metric="train_loss")
    assert loss["lr"].tolist()[:2] == [0.01, 0.1]
    assert (loss["difference"].dropna() > 0).all()


def test_a_comparison_of_an_unfinished_and_diverged_sweep(tmp_path):
    axes = {"init": ["a", "b", "c", "d"]}
    rows = [lane({"init": "a"}, seed, 0.9 + seed / 100) for seed in range(4)]
    rows += [lane({"init": "b"}, 0, 0.9), *(diverged({"init": "c"}, seed) for seed in range(4))]
    frame = Results(write_sweep(tmp_path, axes, rows)).comparison().set_index("init")
    assert frame["runs"].to_dict() == {"a": 4, "c": 4, "b": 1}
    assert frame["diverged"].to_dict() == {"a": 0, "c": 4, "b": 0}
    assert np.isnan(frame.loc["b", "best_probability"])
    assert frame.loc["b", "p_t_corrected"] == 1.0
    everything = [diverged({"init": init}, seed) for init in "ab" for seed in range(3)]
    lost = write_sweep(tmp_path / "lost", axes, everything, metric="validation_loss", classes=None)
    assert not Results(lost).comparison()["is_worse"].any()
