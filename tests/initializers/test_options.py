"""Wrong options are refused when the initializer is built, wrong arguments when it is called."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.initializers import (
    blockwise,
    constant,
    convolutional_orthogonal,
    delta_orthogonal,
    he_normal,
    normal,
    orthogonal,
    random_normal,
    random_uniform,
    truncated_normal,
    uniform,
    variance_scaling,
    zeros,
)

KEY = jax.random.key(0)
REFUSED = [
    (lambda: normal(-0.1), ValueError, r"stddev: expected a number >= 0, got -0\.1; .* mean 0\.1"),
    (lambda: normal(math.nan), ValueError, "stddev: expected a finite number, got nan"),
    (lambda: normal(math.inf), ValueError, "stddev: expected a finite number, got inf"),
    (lambda: normal("0.1"), TypeError, r"stddev: expected a number, got '0\.1' \(str\)"),
    (lambda: normal(None), TypeError, r"stddev: expected a number, got None \(NoneType\)"),
    (lambda: normal(True), TypeError, r"stddev: expected a number, got True \(bool\)"),
    (lambda: normal(1j), TypeError, "stddev: expected a number, got 1j"),
    (lambda: normal(np.ones(2)), TypeError, "stddev: expected a number, got array"),
    (lambda: uniform(-1.0), ValueError, r"scale: .* did you mean 1\.0\?"),
    (lambda: truncated_normal(-1.0), ValueError, "stddev: expected a number >= 0"),
    (
        lambda: truncated_normal(1.0, lower=2.0, upper=-2.0),
        ValueError,
        r"expected lower < upper, got 2\.0 >= -2\.0",
    ),
    (lambda: truncated_normal(1.0, lower=math.nan), ValueError, "lower: expected a finite number"),
    (lambda: random_normal(math.nan, 1.0), ValueError, "mean: expected a finite number, got nan"),
    (lambda: random_normal(0.0, -1.0), ValueError, "stddev: expected a number >= 0"),
    (lambda: random_uniform(1.0, 1.0), ValueError, r"expected minval < maxval, got 1\.0 >= 1\.0"),
    (lambda: random_uniform(0.0, math.inf), ValueError, "maxval: expected a finite number"),
    (
        lambda: variance_scaling(-2.0, "fan_in", "normal"),
        ValueError,
        r"scale: expected a number >= 0, got -2\.0",
    ),
    (
        lambda: variance_scaling(1.0, "fanin", "normal"),
        ValueError,
        "unknown mode 'fanin'; did you mean 'fan_in'",
    ),
    (
        lambda: variance_scaling(1.0, "x", "normal"),
        ValueError,
        "unknown mode 'x'; expected one of: fan_in, fan_out, fan_avg, fan_geo_avg",
    ),
    (
        lambda: variance_scaling(1.0, "fan_in", "gaussian"),
        ValueError,
        "unknown distribution 'gaussian'; expected one of: truncated_normal, normal, uniform",
    ),
    (
        lambda: variance_scaling(1.0, "fan_in", "norml"),
        ValueError,
        "unknown distribution 'norml'; did you mean 'normal'",
    ),
    (lambda: variance_scaling(1.0, None, "normal"), ValueError, "unknown mode None"),
    (lambda: he_normal(in_axis=0.5), TypeError, "in_axis: expected an integer or a sequence of"),
    (lambda: he_normal(out_axis="1"), TypeError, "out_axis: expected an integer or a sequence"),
    (lambda: he_normal(batch_axis=(0, None)), TypeError, r"batch_axis: .* got \(0, None\)"),
    (lambda: he_normal(in_axis=True), TypeError, "in_axis: expected an integer"),
    (
        lambda: he_normal(dtype=int),
        TypeError,
        "dtype: expected a floating or complex dtype, got int",
    ),
    (lambda: he_normal(dtype="nope"), TypeError, "floating or complex dtype, got 'nope'"),
    (lambda: orthogonal(math.nan), ValueError, "scale: expected a finite number"),
    (lambda: orthogonal("big"), TypeError, "scale: expected a number, got 'big'"),
    (lambda: orthogonal(column_axis=0.5), TypeError, r"column_axis: expected an integer, got 0\.5"),
    (lambda: delta_orthogonal(column_axis="0"), TypeError, "column_axis: expected an integer"),
    (lambda: constant("one"), TypeError, "constant: expected a number, got 'one'"),
    (lambda: constant(None), TypeError, "constant: expected a number or a numeric array, got None"),
    (lambda: constant({"a": 1}), TypeError, "constant: expected a number or a numeric array"),
    (lambda: constant([[1], [1, 2]]), TypeError, r"a numeric array, got \[\[1\], \[1, 2\]\]"),
]


@pytest.mark.parametrize(("build", "error", "text"), REFUSED)
def test_a_wrong_option_is_refused_when_built(build, error, text):
    with pytest.raises(error, match=text):
        build()


@pytest.mark.parametrize(
    "build",
    [
        normal,
        uniform,
        orthogonal,
        constant,
        lambda scale: variance_scaling(scale, "fan_in", "normal"),
    ],
)
def test_a_traced_option_is_refused_with_its_remedy(build):
    with pytest.raises(TypeError, match="got a traced value, but an initializer is a plain value"):
        jax.jit(lambda scale: build(scale)(KEY, (3, 3)))(1.0)


@pytest.mark.parametrize("number", [2, np.float32(2), np.array(2.0), jnp.asarray(2.0), np.int8(2)])
def test_every_kind_of_number_is_accepted(number):
    assert normal(number) == normal(2.0)
    assert constant(number) == constant(2.0)
    assert orthogonal(number) == orthogonal(2.0)


@pytest.mark.parametrize(
    ("initializer", "shape", "dtype", "error", "text"),
    [
        (normal(), 3, None, TypeError, r"shape: expected a tuple of integers, got 3; .* is \(n,\)"),
        (normal(), (3, 2.0), None, TypeError, "shape: expected a tuple of integers"),
        (normal(), KEY, None, TypeError, r"the key comes first: initializer\(key, shape\)"),
        (normal(), (3,), "nope", TypeError, "such as 'float32' or jax.numpy.bfloat16, got 'nope'"),
        (normal(), (3,), object, TypeError, "dtype: expected a floating or complex dtype such as"),
        (normal(), (3,), KEY.dtype, TypeError, "dtype: expected .*, got key<fry>"),
        (constant(1.0), (3,), "U3", TypeError, "dtype: expected .*, got 'U3'"),
        (normal(), (3, -1), None, ValueError, r"shape: expected sizes >= 0, got \(3, -1\)"),
        (
            normal(),
            (3,),
            int,
            TypeError,
            "normal draws floating-point or complex values, got dtype int",
        ),
        (uniform(), (3,), complex, TypeError, "uniform draws real floating-point values"),
        (orthogonal(), (3, 3), int, TypeError, "orthonormal draws floating-point or complex"),
        (orthogonal(), (3,), None, ValueError, r"at least two axes, got \(3,\): a vector has"),
        (orthogonal(), (), None, ValueError, r"at least two axes, got \(\)"),
        (
            orthogonal(column_axis=2),
            (3, 3),
            None,
            ValueError,
            r"column_axis=2 is not an axis of shape \(3, 3\)",
        ),
        (delta_orthogonal(), (3, 3), None, ValueError, r"3 to 5 axes, got shape \(3, 3\); for a"),
        (delta_orthogonal(), (1,) * 6, None, ValueError, "3 to 5 axes"),
        (
            delta_orthogonal(),
            (3, 8, 4),
            None,
            ValueError,
            "8 inputs cannot be mapped isometrically to 4 outputs .*: expected in <= out; use orth",
        ),
        (constant([1.0, 2.0]), (3,), None, ValueError, "broadcast"),
        (constant(1j), (3,), None, TypeError, "float32 cannot hold the complex value of constant"),
    ],
)
def test_a_wrong_call_is_refused_also_when_traced(initializer, shape, dtype, error, text):
    with pytest.raises(error, match=text):
        initializer(KEY, shape, dtype)
    with pytest.raises(error, match=text):
        jax.eval_shape(lambda key: initializer(key, shape, dtype), KEY)


WRONG_KEYS = [
    (None, TypeError, r"expected a random key, got None: make one with jax\.random\.key\(seed\)"),
    (7, TypeError, r"expected a random key, got 7: make one with jax\.random\.key\(7\)"),
    (jnp.zeros(3), TypeError, r"got an array of shape \(3,\) and dtype float32"),
    (
        jax.random.split(KEY, 3),
        ValueError,
        r"array of keys of shape \(3,\): draw for each of them with jax",
    ),
    (jnp.zeros((3, 2), jnp.uint32), ValueError, r"got an array of keys of shape \(3,\)"),
]


@pytest.mark.parametrize(("key", "error", "text"), WRONG_KEYS)
@pytest.mark.parametrize(
    "initializer", [he_normal(), blockwise(orthogonal(), 3), convolutional_orthogonal()], ids=repr
)
def test_a_wrong_key_is_refused_with_the_name_of_the_initializer(initializer, key, error, text):
    """The second and the third initializer split the key before they draw."""
    name = initializer.public_form()[0]
    with pytest.raises(error, match=f"^{name}: .*{text}"):
        initializer(key, (3, 3, 6))


def test_initializers_without_random_numbers_accept_any_key():
    assert zeros(None, (2,)).tolist() == [0.0, 0.0]
