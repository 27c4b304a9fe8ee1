"""Values of an axis: told apart in records, and errors for those that cannot be."""

from dataclasses import dataclass
from enum import Enum
from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

import jinit
from jinit.sweep.space import record_value

of_jax = jax.nn.initializers


def scaled(key, shape, dtype=None, *, scale=1.0):
    return scale * jax.random.normal(key, shape, dtype)


class Nameless:
    """A function of key and shape without a name."""

    def __call__(self, key, shape, dtype=None):
        return jnp.zeros(shape, dtype)

    def draw(self, key, shape, dtype=None):
        return self(key, shape, dtype)


@dataclass(frozen=True)
class Scaled:
    """A function of key and shape with options."""

    scale: float

    def __call__(self, key, shape, dtype=None):
        return self.draw(key, shape, dtype)

    def draw(self, key, shape, dtype=None):
        return scaled(key, shape, dtype, scale=self.scale)

    @classmethod
    def build(cls, config):
        return cls(config["scale"])


class Color(Enum):
    """Words of a type of their own."""

    RED = 1


LIBRARY_FUNCTIONS = {
    "he_normal": of_jax.he_normal(),
    "he_uniform": of_jax.he_uniform(),
    "lecun_normal": of_jax.lecun_normal(),
    "glorot_normal": of_jax.glorot_normal(),
    "scale": of_jax.variance_scaling(3.0, "fan_in", "normal"),
    "mode": of_jax.variance_scaling(3.0, "fan_out", "normal"),
    "distribution": of_jax.variance_scaling(3.0, "fan_out", "uniform"),
    "axis": of_jax.he_normal(in_axis=0),
    "batch axis": of_jax.he_normal(batch_axis=(0, 1)),
    "dtype": of_jax.he_normal(dtype=jnp.bfloat16),
    "orthogonal": of_jax.orthogonal(),
    "orthogonal scale": of_jax.orthogonal(scale=2),
    "orthogonal axis": of_jax.orthogonal(column_axis=0),
    "delta orthogonal": of_jax.delta_orthogonal(),
    "normal": of_jax.normal(0.1),
    "normal stddev": of_jax.normal(0.2),
    "truncated normal": of_jax.truncated_normal(0.1),
    "truncated normal bounds": of_jax.truncated_normal(0.1, lower=-1.0),
    "uniform": of_jax.uniform(0.1),
    "constant": of_jax.constant(0.1),
    "constant array": of_jax.constant(jnp.array([0.1, 0.2])),
    "other constant array": of_jax.constant(np.array([0.1, 0.3])),
    "zeros": of_jax.zeros,
    "ones": of_jax.ones,
    "linear schedule": optax.linear_schedule(0.0, 1.0, 10),
    "cosine": optax.cosine_decay_schedule(0.1, 100),
    "warm-up": optax.warmup_cosine_decay_schedule(0.0, 0.1, 10, 100),
    "longer warm-up": optax.warmup_cosine_decay_schedule(0.0, 0.1, 20, 100),
}


def test_functions_of_libraries_are_distinguished_by_their_options():
    functions = list(LIBRARY_FUNCTIONS.values())
    texts = [record_value(function) for function in functions]
    assert len(set(texts)) == len(texts)
    assert [text for text in texts if " at 0x" in text] == []
    assert len(jinit.grid(init=functions).configs()) == len(functions)
    assert "scale=2.0" in record_value(of_jax.he_normal())
    assert record_value(of_jax.normal(0.5)) == "normal(stddev=0.5)"
    assert record_value(of_jax.orthogonal(scale=2)) == "orthogonal(column_axis=-1, scale=2)"
    assert "dtype='bfloat16'" in record_value(of_jax.he_normal(dtype="bfloat16"))
    assert record_value(of_jax.zeros) == "zeros"


def test_a_function_of_a_library_built_twice_is_one_value():
    with pytest.raises(ValueError, match=r"the same value twice: variance_scaling\(.*scale=2.0"):
        jinit.grid(init=[of_jax.he_normal(), flax.linen.initializers.he_normal()])


VALUES = [
    (0.1, 0.1), (3, 3), (True, True), ("relu", "relu"), (None, "None"),
    (np.float32(0.1), 0.1), (np.float64(0.1), 0.1), (np.float16(0.5), 0.5),
    (ml_dtypes.bfloat16(0.5), 0.5), (jnp.float32(0.1), 0.1), (np.array(3), 3),
    (np.int64(3), 3), (np.uint8(3), 3), (np.bool_(True), True), (np.str_("relu"), "relu"),
    ((64, 64), "(64, 64)"), ((128,), "(128,)"), ([64, 64], "[64, 64]"), ((), "()"),
    ((jax.nn.relu, "tanh"), "(relu, 'tanh')"), ((np.int64(3), (0.5,)), "(3, (0.5,))"),
    ({"depth": 2}, "{'depth': 2}"), (Color.RED, "Color.RED"), (1 + 2j, "(1+2j)"),
    (jax.nn.relu, "relu"), (jnp.tanh, "tanh"), (np.tanh, "tanh"), (abs, "abs"),
    (optax.adam, "adam"), (optax.sgd, "sgd"), (scaled, "scaled"), (Scaled, "Scaled"),
    (Scaled(2.0), "Scaled(scale=2.0)"), (Scaled(2.0).draw, "Scaled(scale=2.0).draw"),
    (Scaled.build, "Scaled.build"), (flax.linen.Dense, "Dense"), (jnp.float32, "float32"),
    (partial(scaled, scale=2), "scaled(scale=2)"),
    (partial(round, 2, ndigits=1), "round(2, ndigits=1)"),
    (partial(partial(scaled, scale=2), dtype=None), "scaled(scale=2, dtype=None)"),
    (partial(optax.sgd, momentum=0.9), "sgd(momentum=0.9)"),
    (partial(round, "1"), "round('1')"), (partial(round, 1), "round(1)"),
    (partial(scaled, scale=np.float32(0.1)), "scaled(scale=0.1)"),
    (jax.tree_util.Partial(scaled, scale=2), "scaled(scale=2)"),
    (jinit.he_normal(), "he_normal"), (jinit.normal(0.5), "normal(0.5)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "recorded"), VALUES, ids=[f"{i}-{text}" for i, (_, text) in enumerate(VALUES)]
)
def test_recorded_values(value, recorded):
    found = record_value(value)
    assert (type(found), found) == (type(recorded), recorded) or isinstance(value, np.str_)
    assert len(jinit.grid(phi=[value]).configs()) == 1


def test_numpy_scalars_are_python_numbers_in_configurations():
    space = jinit.grid(lr=np.logspace(-2, -1, 2, dtype=np.float32), bias=np.array([True]))
    assert space.axes == (("lr", (0.01, 0.1)), ("bias", (True,)))
    assert {type(value) for config in space.configs() for value in config.values()} == {float, bool}
    assert jinit.grid(depth=jnp.arange(1, 3)).axes == (("depth", (1, 2)),)
    assert jinit.grid(bias=[True, np.bool_(False)]).is_grid


def test_values_for_build_are_unchanged():
    widths = [(64, 64), (128,)]
    assert [config["widths"] for config in jinit.grid(widths=widths).configs()] == widths


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([Nameless()], "axis 'phi' has a value without a name: <.*; its address in memory would"),
        ([Nameless().draw], "axis 'phi' has a value without a name: <.*>.draw; its address"),
        (
            [np.random.default_rng(seed).normal for seed in (0, 1)],
            r"the same value twice: Generator\(PCG64\)\.normal; .* functions need different names",
        ),
        ([partial(Nameless(), scale=2)], "has a value without a name: .*Give a function"),
        ([(1, Nameless())], "has a value without a name"),
        ([optax.adam(1e-3)], "has a value without a name: GradientTransformation.*Give a function"),
        ([lambda x: x], "axis 'phi' has a lambda, .*: <lambda>; write `def` and a name"),
        ([partial(lambda x: x, 3)], r"has a lambda, and records name functions: <lambda>\(3\)"),
        ([scaled, partial(scaled), Scaled(1), Scaled(1.0)], r"value twice: Scaled\(scale=1"),
        ([partial(scaled, scale=1), partial(scaled, scale=1)], r"value twice: scaled\(scale=1\)"),
        ([Scaled(1.0).draw, Scaled(1.0).draw], r"value twice: Scaled\(scale=1.0\).draw"),
        ([np.ones((2, 3))], r"axis 'phi' has an array of shape \(3,\) as one value: write a tuple"),
        ([None, 0.1], "mixes numbers and words"),
        ([np.bool_(True), 1], "mixes numbers and truth values"),
    ],
)
def test_values_that_records_cannot_distinguish(values, text):
    values = values[0] if isinstance(values[0], np.ndarray) else values
    with pytest.raises(ValueError, match=text):
        jinit.grid(phi=values)


def test_schedules_are_told_apart_by_their_options():
    schedules = [
        optax.cosine_decay_schedule(0.1, 10),
        optax.cosine_decay_schedule(0.1, 20),
        optax.exponential_decay(0.1, 5, 0.9),
        optax.linear_schedule(0.1, 0.0, 10),
        optax.constant_schedule(0.1),
        optax.piecewise_constant_schedule(0.1, {5: 0.1}),
    ]
    texts = [record_value(each) for each in schedules]
    assert len(set(texts)) == len(schedules)
    assert texts[0].startswith("cosine_decay_schedule(")
    assert len(jinit.grid(lr=schedules).configs()) == len(schedules)
