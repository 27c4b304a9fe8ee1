"""Embeddings against their distributions, position tables against exact formulas."""

from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jinit.initializers.embedding import sinusoidal, small_init, unit_rows

KEY = jax.random.key(5)
LEVEL = 1e-9  # false-alarm probability of each test of a distribution
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
FAR = 100_000


@pytest.mark.parametrize(("shape", "axis", "features"), [((60, 250), -1, 250), ((250, 60), 0, 250)])
def test_small_init_is_normal_with_the_published_standard_deviation(shape, axis, features):
    values = np.ravel(small_init(axis)(KEY, shape))
    expected_distribution = scipy.stats.norm(scale=np.sqrt(2 / (5 * features)))
    assert scipy.stats.kstest(values, expected_distribution.cdf).pvalue > LEVEL


@pytest.mark.few(1)
@pytest.mark.parametrize("features", [2, 3, 17])
def test_unit_rows_are_uniform_directions(features):
    rows = np.asarray(unit_rows(3.0)(KEY, (20_000, features)), np.float64)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=-1), 3, rtol=3e-7)
    vectors = np.asarray(jax.random.normal(KEY, (20_000, features)), np.float64)
    expected = 3 * vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    np.testing.assert_allclose(rows, expected, rtol=6e-7)
    half = (features - 1) / 2
    expected_distribution = scipy.stats.beta(half, half, loc=-3, scale=6)
    for coordinate in (0, features - 1):
        assert scipy.stats.kstest(rows[:, coordinate], expected_distribution.cdf).pvalue > LEVEL


def test_unit_rows_of_one_feature_are_the_two_signs():
    values = np.asarray(unit_rows(0.3)(KEY, (10_000, 1)))
    np.testing.assert_array_equal(np.abs(values), np.float32(0.3))
    assert scipy.stats.binomtest(int((values > 0).sum()), len(values)).pvalue > LEVEL
    assert unit_rows().marginal((10, 1)) is None


def test_unit_rows_do_not_depend_on_the_sharding_of_a_row():
    """Here every shard holds a single entry of a row."""
    mesh = jax.make_mesh((8,), ("model",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec(None, "model"))
    values = unit_rows()(KEY, (40, 8), None, sharding)
    np.testing.assert_array_equal(values, unit_rows()(KEY, (40, 8)))


def test_sinusoidal_is_the_published_formula():
    position, pair = np.arange(300)[:, None], np.arange(5)[None, :]
    angle = position / 500 ** (2 * pair / 10)
    interleaved = np.empty((300, 10))
    interleaved[:, 0::2], interleaved[:, 1::2] = np.sin(angle), np.cos(angle)
    table = sinusoidal(500)(KEY, (2, 3, 300, 10))
    np.testing.assert_array_equal(table, np.broadcast_to(table[0, 0], table.shape))
    np.testing.assert_allclose(table[0, 0], interleaved, atol=4e-8)
    concatenated = np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)
    table = sinusoidal(500, layout="concatenated")(KEY, (300, 10))
    np.testing.assert_allclose(table, concatenated, atol=4e-8)


def test_sinusoidal_is_the_rounded_value_far_down_the_table():
    position, pair = np.arange(FAR)[:, None], np.arange(4)[None, :]
    true = np.sin(position * 10_000.0 ** (-pair / 4))
    values = np.asarray(sinusoidal()(KEY, (FAR, 8)))[:, ::2]
    # Half a unit in the last place, and 2e-10 for the table and for this double precision.
    bound = 0.5 * np.spacing(np.abs(true).astype(np.float32)) + 2e-10
    assert (np.abs(values - true) <= bound).all()
    frequency = (10_000.0 ** (-pair / 4)).astype(np.float32)
    usual = np.sin(position.astype(np.float32) * frequency)
    assert np.abs(usual - true).max() > 1e-4  # the error of the usual formula


def sine(angle: Decimal) -> float:
    """Sine by its series in sixty digits, after the angle is reduced modulo 2π."""
    angle -= 2 * PI * (angle / (2 * PI)).to_integral_value()
    term = total = angle
    for order in range(1, 40):
        term *= -angle * angle / (2 * order * (2 * order + 1))
        total += term
    return float(total)


@pytest.mark.parametrize("layout", ["interleaved", "concatenated"])
def test_sinusoidal_in_double_precision(layout):
    rows, features = [0, 1, 2, 316, 317, 4_095, 65_537, 99_856, FAR - 1], 6
    with jax.enable_x64(True):
        values = np.asarray(sinusoidal(layout=layout)(KEY, (FAR, features)))[rows]
    pairs = {"interleaved": (0, 0, 1, 1, 2, 2), "concatenated": (0, 1, 2, 0, 1, 2)}[layout]
    cosines = {"interleaved": (0, 1, 0, 1, 0, 1), "concatenated": (0, 0, 0, 1, 1, 1)}[layout]
    with localcontext(prec=60):
        true = [
            [
                sine(row * Decimal(10_000) ** (-Decimal(2 * pair) / features) + cosine * PI / 2)
                for pair, cosine in zip(pairs, cosines, strict=True)
            ]
            for row in rows
        ]
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, true, rtol=0, atol=1e-15)


def test_a_shift_of_positions_is_a_rotation():
    """Relative positions are linear maps, the same at every position."""
    sines, cosines = np.split(
        np.asarray(sinusoidal(layout="concatenated")(KEY, (200, 16)), np.float64), 2, axis=-1
    )
    waves = cosines + 1j * sines
    np.testing.assert_allclose(waves[37:], waves[37] * waves[:-37], atol=2e-7)


@pytest.mark.parametrize("max_period", [1, 1e30])
def test_extreme_periods_follow_the_formula(max_period):
    table = np.asarray(sinusoidal(max_period)(KEY, (9, 4)))
    slow = np.arange(9) / np.sqrt(max_period)
    np.testing.assert_allclose(table[:, 0], np.sin(np.arange(9)), atol=4e-8)
    np.testing.assert_allclose(table[:, 2:], np.stack([np.sin(slow), np.cos(slow)], -1), atol=4e-8)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: small_init("features"), "axis: expected an integer, got 'features'"),
        (
            lambda: small_init(2)(KEY, (4, 5)),
            r"small_init: axis=2 is not an axis of shape \(4, 5\)",
        ),
        (lambda: unit_rows(0), "scale: expected a number > 0, got 0"),
        (lambda: unit_rows()(KEY, ()), r"of at least 1 axis, got shape \(\)"),
        (lambda: unit_rows()(KEY, (2, 2), jnp.complex64), "real floating-point values"),
        (lambda: sinusoidal(0.5), "max_period: expected at least 1, got 0.5"),
        (lambda: sinusoidal(layout="interleave"), "did you mean 'interleaved'"),
        (lambda: sinusoidal()(KEY, (4, 5)), r"5 features \(shape \(4, 5\)\) do not divide"),
        (
            lambda: sinusoidal()(KEY, (4,)),
            r"\(..., positions, features\) of at least 2 axes, got shape \(4,\)",
        ),
    ],
)
def test_wrong_options_and_shapes_are_refused(build, text):
    with pytest.raises((TypeError, ValueError), match=text):
        build()
