"""Numbers of the learning page against closed forms and values that were computed elsewhere."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from jinit import lessons
from jinit.report import MissingExtraError

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "experiments" / "06_greedy_pretraining" / "results.json"


def test_equal_units_stay_equal_and_random_ones_learn():
    zeros, equal, random = lessons.train_from_symmetry().runs
    assert zeros.losses == pytest.approx(math.log(2), abs=1e-6)
    assert (zeros.gradient_size, zeros.rank) == (0.0, 0)
    assert equal.gradient_size > 0
    assert (equal.gradient_spread, equal.rank, equal.distinct_units) == (0.0, 1, 1)
    assert equal.losses[-1] > 0.65
    assert (random.rank, random.distinct_units) == (4, 8)
    assert random.losses[-1] < 0.05


@pytest.mark.slow
def test_relu_signals_change_by_half_of_the_variance_per_layer():
    scan = lessons.scan_scales("relu")
    layers = np.arange(1, 21)
    for place, sigma in enumerate(scan.sigmas):
        squares = sigma ** (2 * layers) / 2 ** (layers.astype(float))
        assert scan.theory_rms[place] ** 2 == pytest.approx(squares, rel=1e-9)
        # Backward: the last layer halves the square of a standard normal gradient.
        backward = 0.5 * (sigma**2 / 2) ** (20 - layers)
        assert scan.theory_gradient_std[place] ** 2 == pytest.approx(backward, rel=1e-9)
    assert scan.activation_rms == pytest.approx(scan.theory_rms, rel=0.5)
    assert scan.gradient_std == pytest.approx(scan.theory_gradient_std, rel=0.5)
    assert scan.shares.sum(2) + scan.zero_share == pytest.approx(1.0, abs=1e-3)
    assert scan.zero_share == pytest.approx(0.5, abs=0.15)


@pytest.mark.slow
def test_tanh_signals_follow_the_known_iteration():
    scan = lessons.scan_scales("tanh")
    seconds = scan.theory_rms[scan.sigmas.index(1.0)] ** 2
    assert seconds[[0, 1, 9]] == pytest.approx([0.3942944904, 0.2364504105, 0.0522000828])
    assert scan.activation_rms == pytest.approx(scan.theory_rms, rel=0.15)
    assert scan.gradient_std == pytest.approx(scan.theory_gradient_std, rel=0.2)
    assert scan.shares.sum(2) == pytest.approx(1.0)


def test_constants():
    numbers = lessons.page_constants()
    assert numbers._asdict() == pytest.approx(
        {
            "truncated_std": 0.8796256610342398,
            "relu_gain": math.sqrt(2),
            "relu_second": 0.5,
            "bound_4_6": math.sqrt(0.6),
            "bound_4_2": 1.0,
            "he_std_50": 0.2,
            "he_bound_6": 1.0,
            "lecun_growth": 2.0**-20,
            "tanh_chi": 1.20983132,
            "loss_of_chance": math.log(10),
        },
        rel=1e-8,
    )


def test_published_forms_for_100_inputs_and_50_outputs():
    assert lessons.PUBLISHED_SHAPE == (100, 50)
    found = {form.variance: (form.std**2, form.largest) for form in lessons.published_forms()}
    assert found == {
        "1/(3 n_in)": pytest.approx((1 / 300, 0.1)),
        "1/n_in": pytest.approx((0.01, math.sqrt(0.03))),
        "1/n_out": pytest.approx((0.02, math.sqrt(0.06))),
        "2/(n_in + n_out)": pytest.approx((2 / 150, 0.2)),
        "2/n_in": pytest.approx((0.02, math.sqrt(0.06))),
        "2/n_out": pytest.approx((0.04, math.sqrt(0.12))),
    }


def test_forms_for_sigmoid_and_how_little_gradient_they_leave():
    forms = lessons.sigmoid_forms()
    assert [form.sigma_w2 for form in forms] == pytest.approx([1, 1.8462285453**2, 4, 16])
    assert forms[1].chi_1 == pytest.approx(0.1528270117)
    assert all(form.chi_1 < 0.4 for form in forms)


def test_gains_and_critical_variances_of_activations():
    relu, leaky, tanh, selu = lessons.activation_rows(("relu", "leaky_relu", "tanh", "selu"))
    assert (relu.mean, relu.gain, relu.chi) == pytest.approx((0.3989422804, math.sqrt(2), 1))
    assert (leaky.second, leaky.gain) == pytest.approx((0.50005, 1.4141428570))
    assert (tanh.second, tanh.gain, tanh.chi) == pytest.approx(
        (0.3942944904, 1.5925374197, 1.1778072323)
    )
    assert (selu.second, selu.chi) == pytest.approx((1, 1.0715749925))
    assert [row.deep_weights for row in (relu, leaky, tanh)] == pytest.approx([2, 2 / 1.0001, 1])
    assert [row.initializer for row in (relu, tanh)] == ["he_normal()", "lecun_normal()"]


def test_deep_chains():
    chains = lessons.deep_chains()
    last = chains.points[-1]
    assert (last.q, last.chi_1, last.xi_gradient) == pytest.approx(
        (1.17848049, 1.20983132, 5.24987), rel=1e-5
    )
    line = np.interp([1.68797512, 2.15330265], chains.critical_w2, chains.critical_b2)
    assert line == pytest.approx([0.0380412011, 0.1509646294], rel=0.02)
    assert chains.depths[-1] == 50
    squares = {name: values[-1] ** 2 for name, values in chains.largest.items()}
    assert squares == pytest.approx(
        {
            "linear, gaussian": 137.27099,
            "linear, orthogonal": 1,
            "relu, gaussian": 271.83724,
            "relu, orthogonal": 134.55266,
        },
        rel=1e-5,
    )
    assert chains.plain_residual[3] == 2**10
    assert chains.scaled_residual[3] == pytest.approx(1.1**10)
    assert (chains.scaled_residual < math.e).all()


@pytest.mark.slow
def test_learning_rates_above_two_over_the_curvature_diverge():
    numbers = lessons.rate_numbers()
    for run in numbers.descents:
        steps = np.arange(len(run.distances))
        assert run.distances == pytest.approx(abs(1 - 10 * run.lr) ** steps)
        assert (run.distances[-1] > 1) == (run.lr > 2 / 10)
    assert (np.diff(numbers.largest_eigenvalues) > 0).all()
    decay, weight, output = numbers.decay_rows[2]
    assert (decay, weight) == pytest.approx((1e-3, 0.9999**1000))
    assert output == pytest.approx(weight**numbers.decay_depth)


def test_greedy_numbers_are_those_of_the_experiment():
    measured = json.loads(RESULTS.read_text("utf-8"))
    shown = lessons.greedy_runs()
    assert (shown.date, shown.jax_version) == (measured["date"], measured["jax"])
    for run in shown.runs:
        by_depth = measured["test accuracy"][run.init]
        assert [str(depth) for depth in run.depths] == list(by_depth)
        assert list(run.means) == [each["mean"] for each in by_depth.values()]
        assert list(run.errors) == [each["error"] for each in by_depth.values()]


def test_without_scikit_learn_the_page_says_what_to_install(monkeypatch):
    def fail():
        raise MissingExtraError("digits needs sklearn; type: pip install 'jinit[data]'")

    monkeypatch.setattr("jinit.sweep.tasks.digits", fail)
    assert "jinit[data]" in lessons.train_on_digits()


@pytest.mark.slow
def test_bad_initializations_fail_on_digits_as_their_verdicts_say():
    runs = lessons.train_on_digits(seeds=2)
    verdicts = {row.init: row.verdict for row in runs.rows}
    assert verdicts["zeros"] == "dead"
    assert verdicts["normal(0.01)"] == "vanishing"
    assert verdicts["he_normal"] == "stable"
    assert verdicts["normal(1)"] == "exploding"
    accuracies = {(row.init, row.lr): row.accuracies for row in runs.rows}
    assert accuracies["he_normal", 0.03].min() > 0.85
    assert accuracies["zeros", 0.03].max() < 0.2
    assert all(row.diverged == 2 for row in runs.rows if row.init == "normal(1)")
