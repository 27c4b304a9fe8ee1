"""Random and Sobol searches: distributions, determinism, and errors that say what to write.

The Kolmogorov-Smirnov tests have fixed seeds; each raises a false alarm for one seed in 1e6.
"""

import math
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

import jinit
from jinit.sweep.between import Between

ALARM = 1e-6
SEARCHES = (jinit.random_search, jinit.sobol)

both = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.__name__)


def column(space, name):
    return [config[name] for config in space.configs()]


@pytest.mark.parametrize(
    ("bounds", "distribution"),
    [
        (jinit.between(-1.0, 3.0), stats.uniform(-1, 4)),
        (jinit.between(0, 0.5), stats.uniform(0, 0.5)),
        (jinit.between(1e-5, 0.1, log=True), stats.loguniform(1e-5, 0.1)),
        (jinit.between(1.0, 2.0, log=True), stats.loguniform(1, 2)),
    ],
)
@both
def test_floats_have_their_distribution(search, bounds, distribution):
    values = column(search(2048, seed=7, x=bounds), "x")
    assert {type(value) for value in values} == {float}
    assert stats.kstest(values, distribution.cdf).pvalue > ALARM
    assert bounds.low <= min(values) <= max(values) <= bounds.high


def test_a_wrong_distribution_is_seen():
    values = column(jinit.random_search(2048, x=jinit.between(1.0, 2.0, log=True)), "x")
    assert stats.kstest(values, stats.uniform(1, 1).cdf).pvalue < ALARM


def frequencies(bounds, n=40_000):
    """How often each integer is drawn; the free axis keeps configurations distinct."""
    space = jinit.random_search(n, k=bounds, free=jinit.between(0.0, 1.0))
    drawn = np.array(column(space, "k"))
    assert {type(value) for value in column(space, "k")} == {int}
    return [(drawn == k).sum() for k in range(bounds.low, bounds.high + 1)]


def test_integers_are_equally_likely_and_include_both_bounds():
    assert stats.chisquare(frequencies(jinit.between(-2, 5))).pvalue > ALARM


def test_log_uniform_integers_have_the_documented_probabilities():
    found = frequencies(jinit.between(2, 9, log=True))
    expected = [math.log((k + 0.5) / (k - 0.5)) / math.log(9.5 / 1.5) for k in range(2, 10)]
    assert sum(expected) == pytest.approx(1)
    assert stats.chisquare(found, np.array(expected) * sum(found)).pvalue > ALARM


def test_choices_are_equally_likely():
    space = jinit.random_search(9000, init=["zeros", "he_normal", "ones"], x=jinit.between(0.0, 1))
    found = [column(space, "init").count(init) for init in (jinit.zeros, jinit.he_normal())]
    assert stats.chisquare([*found, 9000 - sum(found)]).pvalue > ALARM


def test_axes_are_independent():
    space = jinit.random_search(4096, x=jinit.between(0.0, 1.0), y=jinit.between(0.0, 1.0))
    assert stats.pearsonr(column(space, "x"), column(space, "y")).pvalue > ALARM


def test_sobol_covers_the_square_better_than_random_points():
    axes = {"x": jinit.between(0.0, 1.0), "y": jinit.between(0.0, 1.0)}
    for n in (64, 100, 256):
        even, random = (
            [qmc.discrepancy(np.column_stack([column(s, "x"), column(s, "y")])) for s in spaces]
            for spaces in (
                [search(n, seed=seed, **axes) for seed in range(5)] for search in SEARCHES[::-1]
            )
        )
        assert max(even) < min(random) / 2


def test_sobol_of_a_power_of_two_is_balanced():
    space = jinit.sobol(
        32, init=["zeros", "ones"], depth=jinit.between(1, 4), lr=jinit.between(0.0, 1)
    )
    assert column(space, "init").count(jinit.ones) == 16
    assert sorted(column(space, "depth")) == sorted([1, 2, 3, 4] * 8)
    assert sorted(int(32 * value) for value in column(space, "lr")) == list(range(32))


AXES = {
    "init": ["zeros", "he_normal"],
    "lr": jinit.between(1e-4, 1e-1, log=True),
    "depth": jinit.between(2, 4),
}


@both
def test_the_first_configurations_do_not_depend_on_their_number(search):
    long = search(50, seed=3, **AXES).configs()
    for n in (1, 2, 7, 32, 33):
        assert search(n, seed=3, **AXES).configs() == long[:n]
    small = {"a": [1, 2, 3], "b": jinit.between(1, 4)}  # draws again
    assert search(7, **small).configs() == search(12, **small).configs()[:7]


@both
def test_searches_are_determined_by_their_seed(search):
    first, again, other = (search(16, seed=seed, **AXES) for seed in (1, np.int64(1), 2))
    assert first == again
    assert first != other
    assert first.names == ("init", "lr", "depth")


def test_axes_have_random_streams_of_their_own():
    alone = jinit.random_search(20, lr=AXES["lr"])
    more = jinit.random_search(20, width=jinit.between(1, 9), **AXES)
    assert column(alone, "lr") == column(more, "lr")
    twins = jinit.random_search(20, a=AXES["lr"], b=AXES["lr"])
    assert not set(column(twins, "a")) & set(column(twins, "b"))


def test_random_configurations_are_the_same_in_every_process():
    code = "import jinit; print(jinit.random_search(3, lr=jinit.between(0.0, 1.0)).configs())"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert printed == str(jinit.random_search(3, lr=jinit.between(0.0, 1.0)).configs())


@both
def test_small_spaces_are_drawn_without_repetition(search):
    space = search(24, a=[1, 2, 3], b=["x", "y"], c=jinit.between(1, 4, log=True))
    assert len(set(zip(*(column(space, name) for name in "abc"), strict=True))) == 24
    assert space.is_grid
    with pytest.raises(ValueError, match="have only 24 distinct configurations, fewer than n=25: "):
        search(25, a=[1, 2, 3], b=["x", "y"], c=jinit.between(1, 4))


@both
def test_floats_are_distinct_in_float32(search):
    low = 1.0
    high = float(np.nextafter(np.float32(low), np.float32(2)))
    assert sorted(column(search(2, x=jinit.between(low, high)), "x")) == [1.0, 1.0000001]
    with pytest.raises(
        ValueError, match=r"have only 2 distinct .*: run all of them with jinit.grid"
    ):
        search(3, x=jinit.between(low, high))
    narrow = column(search(1000, x=jinit.between(1.0, 1.0005), y=[1, 2, 3]), "x")
    distinct = set(narrow)
    assert len(distinct) == len({np.float32(value) for value in distinct})


@both
def test_a_list_of_one_is_a_constant(search):
    space = search(4, init=["he_normal"], lr=AXES["lr"], depth=[3])
    assert column(space, "depth") == [3] * 4
    assert column(space, "init") == [jinit.he_normal()] * 4
    assert column(space, "lr") == column(search(4, lr=AXES["lr"]), "lr")
    assert search(1, depth=[3]) == jinit.grid(depth=[3])


def test_no_number_of_configurations_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (1, 2, 3, 5, 100):
            assert len(jinit.sobol(n, lr=AXES["lr"]).configs()) == n


@both
def test_searches_are_parts_of_larger_spaces(search):
    inits = jinit.grid(init=["zeros", jax.nn.initializers.he_normal()])
    space = inits * search(4, lr=AXES["lr"]) + jinit.grid(optimizer=["sgd"])
    assert len(space.configs()) == 9
    assert space.configs()[0]["lr"] == space.configs()[4]["lr"]


@pytest.mark.parametrize(
    ("n", "axes", "text"),
    [
        (4, {}, r"no axes; give at least one, such as lr=between\(0.001, 0.1\)"),
        (0, {"lr": [1]}, "n: expected an integer of at least 1, got 0"),
        (2.5, {"lr": [1]}, "n: expected an integer of at least 1, got 2.5"),
        (1, {"lr": [1], "seed": -1}, "seed: expected an integer of at least 0, got -1"),
        (1, {"lr": [1], "seed": [0, 1]}, r"got \[0, 1\]; the seeds of training are .* seeds=8"),
        (1, {"seeds": jinit.between(0, 9)}, "seeds are replicates of every configuration"),
        (1, {"lr": 0.1}, r"axis 'lr' needs a list of values, got 0.1: use \[\.\.\.\]"),
        (1, {"init": jinit.between(0, 1)}, "axis 'init' needs a list of values, got Between"),
        (1, {"optimizer": jinit.between(0, 1)}, "axis 'optimizer' needs a list of values"),
        (1, {"lr": []}, "axis 'lr' is empty"),
        (1, {"lr": [1, 1]}, "axis 'lr' has the same value twice: 1"),
        (1, {"lr": [1, "a"]}, "axis 'lr' mixes numbers and words"),
        (9, {"lr": [1, 2]}, "the axes have only 2 distinct configurations, fewer than n=9"),
    ],
)
@both
def test_searches_that_cannot_work(search, n, axes, text):
    with pytest.raises(ValueError, match=f"{search.__name__}: .*{text}"):
        search(n, **axes)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((1, 1), r"expected low < high, got low=1 and high=1; for one value give a list, \[1\]"),
        ((2.0, 1.0), "expected low < high, got low=2.0 and high=1.0"),
        ((0.0, math.inf), "expected finite numbers, at most 3.403e.38 in size, got high=inf"),
        ((math.nan, 1), "expected finite numbers, .* got low=nan"),
        ((0.0, 1e39), r"got high=1e\+39"),
        ((0, 2**60), "expected finite numbers, at most 9.007e.15 in size"),
        ((False, True), "expected finite numbers, .* got low=False; for other values give a list"),
        (("a", 1), "got low='a'"),
        ((0.1, 0.1 + 1e-12), r"are one number in float32, .*: give a wider range, or a list, \[0"),
        ((0.0, 1.0, True), "log=True needs low > 0 .* got low=0.0: give the smallest value of int"),
        ((0, 8, True), "log=True needs low > 0"),
        ((-1.0, 1.0, True), "log=True needs low > 0"),
        ((1e-44, 1.0, True), r"log=True needs low > 0 \(at least 1.2e-38 in float32\)"),
        ((1.0, 2.0, "yes"), "log='yes', expected True or False"),
    ],
)
def test_bounds_that_cannot_work(bounds, text):
    with pytest.raises(ValueError, match=f"between: .*{text}"):
        jinit.between(*bounds)


def test_bounds_are_values():
    assert jinit.between(1e-4, 1e-2, log=True) == Between(1e-4, 1e-2, True)
    assert hash(jinit.between(1, 2)) == hash(jinit.between(np.int64(1), np.int64(2)))
    assert (jinit.between(0, 1).is_integer, jinit.between(0, 1.0).is_integer) == (True, False)
    assert jinit.between(np.float32(0.1), 1).low == 0.1
    assert [jinit.between(-1.0, 1.0).count, jinit.between(-3, 3).count] == [2 * 0x3F800000 + 1, 7]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("high", [7, 0.3000000001, 5e3, 3.4e38])
def test_quantiles_rise_from_one_bound_to_the_other(high, log):
    low = 2 if high == 7 else 0.123456789123
    bounds = jinit.between(low, high, log=log)
    values = [bounds.quantile(probability) for probability in np.linspace(0, 1 - 2**-30, 1001)]
    assert values == sorted(values)
    assert np.float32(values[0]) == np.float32(low)
    assert bounds.low <= values[0] <= values[-1] <= bounds.high
    assert values[-1] == pytest.approx(high, rel=1e-6)


def test_a_range_in_a_grid():
    text = (
        r"grid: axis 'lr' needs a list .*Between\(low=1, high=2, .*jinit.random_search\(n, \.\.\.\)"
    )
    with pytest.raises(ValueError, match=text):
        jinit.grid(lr=jinit.between(1, 2))
