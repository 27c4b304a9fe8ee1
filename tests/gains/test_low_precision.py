"""Parameters drawn in bfloat16 or float16 are found, and nothing else is."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit.gains import low_precision_cause
from jinit.initializers import CATALOG

KEY = jax.random.key(0)
NORMALS = np.random.default_rng(0).standard_normal((128, 64)).astype(np.float32)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (
            lambda: jax.random.normal(KEY, (128, 128), jnp.bfloat16),
            "drawn in bfloat16: 128 distinct",
        ),
        (lambda: jax.random.uniform(KEY, (64, 32), jnp.bfloat16), "drawn in bfloat16"),
        (
            lambda: jax.random.truncated_normal(KEY, -6, 6, (256, 256), jnp.bfloat16),
            r"0\.[78]\d* % of them at the bound -(6|5\.97)",
        ),
        (lambda: jax.random.normal(KEY, (128, 64), jnp.float16), "drawn in float16: 102"),
        (lambda: 0.02 * jax.random.normal(KEY, (16, 32), jnp.bfloat16), "drawn in bfloat16"),
    ],
)
def test_draws_in_a_narrow_dtype(draw, words):
    narrow = draw()
    scaled = 0.037 * narrow.astype(jnp.float32)  # no longer numbers of the narrow dtype
    assert low_precision_cause(scaled)
    for array in (narrow, narrow.astype(jnp.float32)):
        assert re.search(words, low_precision_cause(array))


def test_the_bias_of_jax_in_bfloat16():
    draw = jax.nn.initializers.lecun_normal()(KEY, (1024, 1024), jnp.bfloat16)
    assert "a mean of -0.01" in low_precision_cause(draw)
    assert "standard errors" in low_precision_cause(draw)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", [(16, 16), (16, 64), (128, 64)])
def test_rounded_draws_are_not_accused(dtype, size):
    numbers = NORMALS.reshape(-1)[: size[0] * size[1]].reshape(size)
    for values in (numbers, 0.02 * numbers, 1 + 0.02 * numbers, np.exp(numbers), abs(numbers)):
        rounded = jnp.asarray(values).astype(dtype)
        assert not low_precision_cause(rounded)
        assert not low_precision_cause(rounded.astype(jnp.float32))


@pytest.mark.parametrize(
    "values",
    [
        np.sign(NORMALS),
        np.eye(128),
        np.where(NORMALS > 1, NORMALS, 0),
        np.tile(np.log(np.arange(1, 17)), (256, 1)),
        np.tile(np.arange(128.0) + 0.5, (64, 1)),
        np.linspace(-1, 1, 128)[np.add.outer(np.arange(128), np.arange(128)) % 128],
        np.linspace(-1, 1, 127)[np.subtract.outer(np.arange(64), np.arange(64)) + 63],
        np.sin(np.outer(np.arange(128), 10.0 ** -np.linspace(0, 4, 32))),
        np.sin(np.arange(64)[:, None] * 10_000.0 ** (-np.arange(64) / 64)),
        np.full((64, 64), 0.1),
        np.zeros((0, 4)),
    ],
    ids=[
        "signs",
        "identity",
        "sparse",
        "log decays",
        "table",
        "circulant",
        "toeplitz",
        "positions",
        "square positions",
        "constant",
        "empty",
    ],
)
def test_structure_is_not_accused(values):
    for dtype in ("float32", "bfloat16", "float16"):
        assert not low_precision_cause(jnp.asarray(values, jnp.float32).astype(dtype))


def test_integers_and_keys_are_left_out():
    assert not low_precision_cause(jnp.arange(4096) % 128)
    assert not low_precision_cause(jax.random.split(KEY, 4))


def test_minus_infinity_is_the_logarithm_of_zero():
    decays = jnp.log(jnp.asarray(np.abs(NORMALS)).at[0, :2].set(0.0))
    assert "2 of 8192 entries are -inf, the logarithm of an exact zero" in low_precision_cause(
        decays
    )


def test_audit_and_diagnose_name_the_parameter():
    kernel = jax.random.normal(KEY, (32, 32), jnp.bfloat16).astype(jnp.float32) / 32**0.5
    x = jnp.asarray(NORMALS[:8, :32])
    model = jinit.trace(lambda w, x: x @ w["kernel"], {"kernel": kernel}, x)
    (misfit,) = jinit.audit(model, {"kernel": kernel})
    assert misfit.path == "kernel"
    assert misfit.cause.startswith("drawn in bfloat16")
    notes = jinit.diagnose(model, {"kernel": kernel}, x).notes
    assert any(note.startswith("kernel: drawn in bfloat16") for note in notes)
    assert not jinit.audit(model, {"kernel": jnp.asarray(NORMALS[:32, :32]) / 32**0.5})


@pytest.mark.slow
@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_no_initializer_is_accused(entry):
    drawn = 0
    for shape in ((64, 64), (3, 3, 32, 32), (4096,)):
        try:
            array = entry.example(KEY, shape, jnp.float32)
        except (TypeError, ValueError):  # a shape that this initializer refuses
            continue
        drawn += 1
        for dtype in ("float32", "bfloat16", "float16"):
            assert not low_precision_cause(array.astype(dtype))
    assert drawn
