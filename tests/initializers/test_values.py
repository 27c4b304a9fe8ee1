"""Initializers are values: equal, hashable, picklable, printable, plain data and back."""

import json
import pickle

import jax
import numpy as np
import pytest

from jinit import initializers
from jinit.initializers import (
    constant,
    delta_orthogonal,
    from_spec,
    glorot_uniform,
    he_normal,
    kaiming_uniform,
    lecun_normal,
    normal,
    ones,
    ones_init,
    orthogonal,
    random_normal,
    random_uniform,
    truncated_normal,
    uniform,
    variance_scaling,
    xavier_uniform,
    zeros,
    zeros_init,
)

PRINTED = {
    "zeros": zeros,
    "ones": ones,
    "constant(0.3)": constant(0.3),
    "constant((1.0, 2.0))": constant([1, 2]),
    "constant((1+2j))": constant(1 + 2j),
    "constant(((1+2j), 1j))": constant([1 + 2j, 1j]),
    "constant(0, dtype='bfloat16')": constant(0, "bfloat16"),
    "uniform(0.01)": uniform(),
    "normal(0.02)": normal(0.02),
    "normal(1e-05)": normal(1e-5),
    "normal(0.01, dtype='float16')": normal(dtype="float16"),
    "truncated_normal(1, lower=-3)": truncated_normal(1.0, lower=-3),
    "random_normal(1, 0.01)": random_normal(1.0),
    "random_uniform(-1, 1)": random_uniform(-1, 1),
    "variance_scaling(scale=1.5, mode='fan_out', distribution='normal')": variance_scaling(
        1.5, "fan_out", "normal"
    ),
    "he_normal()": variance_scaling(2.0, "fan_in", "truncated_normal"),
    "he_uniform(in_axis=(0, 1))": kaiming_uniform(in_axis=(0, 1)),
    "xavier_uniform(batch_axis=0)": glorot_uniform(batch_axis=0),
    "orthogonal(scale=2)": orthogonal(2),
    "delta_orthogonal(column_axis=0)": delta_orthogonal(column_axis=0),
}


@pytest.mark.parametrize(("text", "initializer"), PRINTED.items(), ids=PRINTED)
def test_printed_text_builds_an_equal_value(text, initializer):
    assert repr(initializer) == text
    namespace = {name: getattr(initializers, name) for name in initializers.__all__}
    exec(f"copy = {text}", namespace)
    assert namespace["copy"] == initializer


@pytest.mark.parametrize("initializer", PRINTED.values(), ids=PRINTED)
def test_values_survive_pickle_and_json(initializer):
    for copy in (
        pickle.loads(pickle.dumps(initializer)),
        from_spec(json.loads(json.dumps(initializer.to_spec(), allow_nan=False))),
    ):
        assert copy == initializer
        assert hash(copy) == hash(initializer)
        assert repr(copy) == repr(initializer)


def test_different_values_differ():
    values = list(PRINTED.values())
    for index, left in enumerate(values):
        assert [right for right in values if right == left] == [values[index]]


def test_values_cannot_be_changed():
    with pytest.raises(AttributeError):
        normal().stddev = 1.0


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (zeros, zeros_init()),
        (ones, ones_init()),
        (zeros, constant(0)),
        (xavier_uniform(), glorot_uniform()),
        (lecun_normal(), variance_scaling(1, "fan_in", "truncated_normal")),
        (he_normal(dtype=np.float16), he_normal(dtype="float16")),
        (he_normal(in_axis=[0, 1]), he_normal(in_axis=(0, 1))),
        (constant(np.arange(4.0).reshape(2, 2)), constant([[0, 1], [2, 3]])),
    ],
)
def test_equal_options_make_equal_values(left, right):
    assert left == right
    assert hash(left) == hash(right)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("he_normal", he_normal()),
        ("kaiming_normal", he_normal()),
        ("glorot_uniform", xavier_uniform()),
        ("zeros", zeros),
        ("zeros_init", zeros),
        ({"name": "orthogonal", "scale": 2}, orthogonal(2.0)),
        ({"name": "constant", "value": [1, "2j"]}, constant([1, 2j])),
        (normal(0.3), normal(0.3)),
    ],
)
def test_plain_data_builds_the_initializer(spec, expected):
    assert from_spec(spec) == expected


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("he_norml", "unknown initializer 'he_norml'; did you mean 'he_normal'"),
        (
            "normal(0.05)",
            r"'normal\(0\.05\)' is a call, not a name: give the value jinit\.",
        ),
        ("qqqq", "unknown initializer 'qqqq'; expected one of: zeros, ones, .*, constant, "),
        ("os.system", "unknown initializer 'os.system'"),
        ("__class__", "unknown initializer '__class__'"),
        ({"name": "normal", "std": 1}, "unknown option of normal 'std'; did you mean 'stddev'"),
        ({"name": "zeros", "value": 1}, "unknown option of zeros 'value'"),
        ({"name": "variance_scaling", "scale": 1.0}, "also needs distribution, mode"),
        ({"name": "constant"}, "'constant' also needs value"),
        ({"name": "normal", "stddev": -1}, "stddev: expected a number >= 0"),
        ({"stddev": 1}, "expected a name or"),
        (3, "expected a name or .* got 3"),
        (None, "expected a name or .* got None"),
        ({"name": ["normal"]}, "expected a name or"),
        (
            {"name": "pissa"},
            r"from a kernel, not from a shape: call jinit\.adapters\.pissa\(rank\)",
        ),
    ],
)
def test_wrong_plain_data_is_refused(spec, text):
    with pytest.raises(ValueError, match=text):
        from_spec(spec)


@pytest.mark.parametrize("depth", [32, 5000])
def test_deeply_nested_plain_data_is_refused(depth):
    spec = {"name": "ones"}
    for _ in range(depth):
        spec = {"name": "scaled", "initializer": spec, "factor": 1.0}
    with pytest.raises(ValueError, match="more than 32 initializers are nested"):
        from_spec(spec)
    for _ in range(depth - 31):
        spec = spec["initializer"]
    assert repr(from_spec(spec)).count("scaled") == 31


def test_deeply_nested_lists_are_refused():
    values = [1.0]
    for _ in range(5000):
        values = [values]
    with pytest.raises(ValueError, match="expected a name or"):
        from_spec(values)
    with pytest.raises(TypeError, match="constant: expected a number or a numeric array"):
        from_spec({"name": "constant", "value": values})


def test_float64_without_x64_is_reported():
    with pytest.warns(UserWarning, match=r"float64 was asked for and float32 is given.*x64"):
        values = initializers.he_normal()(jax.random.key(0), (2, 2), "float64")
    assert values.dtype == "float32"
