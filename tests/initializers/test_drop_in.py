"""jinit's initializers draw the values of jax.nn.initializers.

The reference is JAX called eagerly: JAX 0.10's own jit moves the last bit of `normal(std)`.
Every real float32 and float64 case is equal bit for bit.
"""

import itertools
import json

import jax
import jax.nn.initializers as reference
import numpy as np
import pytest

import jinit.initializers as ours

KEY = jax.random.key(1234)
# JAX compiles its own generator for seconds when a last axis is short.
MATRIX, KERNEL, IMAGE = (64, 33), (3, 2, 40), (3, 2, 16, 32)
MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
DISTRIBUTIONS = ("truncated_normal", "normal", "uniform")
SCALES = (0.5, 1.0, 2.0, 3.7)
AXES = (
    {},
    {"in_axis": -1, "out_axis": -2},
    {"in_axis": 0, "out_axis": 1},
    {"in_axis": (0, 1), "out_axis": ()},
    {"in_axis": (), "out_axis": (0, 1)},
)
KERNEL_AXES = (
    {"batch_axis": 0},
    {"batch_axis": (0,), "in_axis": 2, "out_axis": 1},
    {"in_axis": (0, 2), "out_axis": 1},
    {"in_axis": (0, 1), "out_axis": 2},
    {"in_axis": -3, "out_axis": -1, "batch_axis": -2},
)
IMAGE_AXES = (
    {"batch_axis": (0, 1)},
    {"in_axis": (0, 2), "out_axis": (1, 3)},
    {"in_axis": -3, "out_axis": 0, "batch_axis": -2},
)
MEMBERS = (
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "xavier_normal",
    "xavier_uniform",
)


def elementwise_cases():
    """(name, arguments, options, shape)."""
    for scale, mode, distribution in itertools.product(SCALES, MODES, DISTRIBUTIONS):
        yield "variance_scaling", (scale, mode, distribution), {}, MATRIX
    for mode, distribution, axes in itertools.product(MODES, DISTRIBUTIONS, AXES[1:]):
        yield "variance_scaling", (2.0, mode, distribution), axes, MATRIX
    for mode, distribution, axes in itertools.product(MODES[:2], DISTRIBUTIONS, KERNEL_AXES):
        yield "variance_scaling", (1.0, mode, distribution), axes, KERNEL
    for name, shape, axes in itertools.product(MEMBERS, (MATRIX, KERNEL), AXES[:3]):
        yield name, (), axes, shape
    for name, size, shape in itertools.product(
        ("uniform", "normal", "truncated_normal"), (0.01, 1.0, 0.3, 1e-5), (MATRIX, KERNEL, ())
    ):
        yield name, (size,), {}, shape
    for mode, axes in itertools.product(MODES, IMAGE_AXES):
        yield "variance_scaling", (1.0, mode, "uniform"), axes, IMAGE
    for low, high in ((-1.0, 1.0), (0.0, 2.0), (-0.3, 5.0)):
        yield "truncated_normal", (0.1,), {"lower": low, "upper": high}, MATRIX
    for name, value in (("constant", 0.3), ("constant", -7), ("constant", np.arange(33.0))):
        yield name, (value,), {}, MATRIX


CASES = list(elementwise_cases())
ISOMETRIES = [
    ("orthogonal", (), {}, MATRIX),
    ("orthogonal", (0.7,), {}, (33, 64)),
    ("orthogonal", (2.0,), {"column_axis": 0}, MATRIX),
    ("orthogonal", (), {}, KERNEL),
    ("orthogonal", (), {"column_axis": 1}, IMAGE),
    ("orthogonal", (), {"column_axis": -2}, IMAGE),
    ("delta_orthogonal", (), {}, (3, 5, 8)),
    ("delta_orthogonal", (1.4,), {}, IMAGE),
    ("delta_orthogonal", (), {"column_axis": 0}, (1, 3, 4, 5, 8)),
]


def draw_both(case, key=KEY, dtype=None) -> tuple[np.ndarray, np.ndarray]:
    name, arguments, options, shape = case
    pair = (getattr(module, name)(*arguments, **options) for module in (ours, reference))
    values, expected = (np.asarray(initializer(key, shape, dtype)) for initializer in pair)
    assert (values.shape, values.dtype) == (expected.shape, expected.dtype)
    return values, expected


def label(case) -> str:
    name, arguments, options, shape = case
    return f"{name}-{arguments}-{json.dumps(options)}-{shape}".replace(" ", "")


def test_the_table_has_two_hundred_cases():
    assert len({label(case) for case in CASES}) == len(CASES) >= 200


@pytest.mark.few(120)
@pytest.mark.parametrize("case", CASES, ids=label)
def test_float32_values_are_those_of_jax_bit_for_bit(case):
    values, expected = draw_both(case)
    assert values.tobytes() == expected.tobytes()


def test_a_scale_that_differs_in_the_last_digits_changes_the_bits():
    values, _ = draw_both(CASES[0])
    _, expected = draw_both(("variance_scaling", (0.5 * (1 + 2e-7), *CASES[0][1][1:]), {}, MATRIX))
    assert values.tobytes() != expected.tobytes()


def test_a_normal_truncated_in_its_tail_is_that_of_jax_and_stays_below_its_bound():
    values = np.asarray(ours.truncated_normal(1.0, lower=3.0, upper=4.0)(KEY, (1000,)))
    expected = jax.random.truncated_normal(KEY, 3.0, 4.0, (1000,))
    np.testing.assert_array_equal(values, expected)
    assert ((values > 3) & (values < 4)).all()


def test_a_tail_where_jax_draws_one_number_is_refused():
    with pytest.raises(ValueError, match=r"bounds|lower"):
        ours.truncated_normal(1.0, lower=6.0, upper=7.0)(KEY, (1000,))


@pytest.mark.parametrize("key", [jax.random.key(5), jax.random.PRNGKey(6)], ids=["typed", "legacy"])
def test_other_keys_give_the_values_of_jax(key):
    for case in CASES[:48:5]:
        values, expected = draw_both(case, key)
        assert values.tobytes() == expected.tobytes(), label(case)


@pytest.mark.slow
def test_keys_of_another_implementation_give_the_values_of_jax():
    for case in (CASES[0], CASES[1], CASES[2]):
        values, expected = draw_both(case, jax.random.key(0, impl="rbg"))
        assert values.tobytes() == expected.tobytes(), label(case)


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("first", [0, pytest.param(4, marks=pytest.mark.slow)])
def test_float64_values_are_those_of_jax_bit_for_bit(first):
    with jax.enable_x64(True):
        for case in [case for case in CASES if case[3] == MATRIX][first::8]:
            values, expected = draw_both(case)
            assert values.dtype == np.float64
            assert values.tobytes() == expected.tobytes(), label(case)


@pytest.mark.few(3)
@pytest.mark.once
@pytest.mark.parametrize("case", ISOMETRIES, ids=label)
def test_orthogonal_values_are_those_of_jax(case):
    """Within 1e-6: the QR decomposition depends on the library."""
    values, expected = draw_both(case)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


@pytest.mark.few(1)
@pytest.mark.once
@pytest.mark.parametrize(
    ("distribution", "dtype"),
    [
        *((distribution, "complex64") for distribution in DISTRIBUTIONS),
        ("truncated_normal", "complex128"),
    ],
)
@pytest.mark.parametrize("modes", [MODES[:2], pytest.param(MODES[2:], marks=pytest.mark.slow)])
def test_complex_values_are_those_of_jax(distribution, dtype, modes):
    """Relative to the modulus, in units of epsilon, over 24 (scale, mode) cases:

    normal: jinit 0 from eager JAX, JAX's jit 1.0 (complex64, jax 0.10.2); uniform: all 0;
    truncated: jinit 27.9, JAX's jit 27.2 (complex64), 11.0 and 10.7 (complex128), all of it where
    log(1 - t) loses digits near modulus 0.
    """
    allowed = {"normal": 0, "uniform": 0, "truncated_normal": 32}[distribution]
    with jax.enable_x64(dtype == "complex128"):
        for scale, mode in itertools.product((0.5, 2.0), modes):
            values, expected = draw_both(
                ("variance_scaling", (scale, mode, distribution), {}, MATRIX), KEY, dtype
            )
            gap = abs(values - expected) / abs(expected)
            assert gap.max() <= allowed * np.finfo(dtype).eps


@pytest.mark.parametrize("name", ["normal", "orthogonal"])
def test_the_other_complex_draws_are_those_of_jax(name):
    values, expected = draw_both((name, (0.3,), {}, MATRIX), KEY, "complex64")
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_default_dtype_is_used_and_overridden(name):
    initializer = getattr(ours, name)(dtype="float16")
    assert initializer(KEY, MATRIX).dtype == "float16"
    assert initializer(KEY, MATRIX, "float32").dtype == "float32"
