"""Contracts of every initializer of the catalog: one table, without exceptions by name.

Some entries run the same program with other numbers, such as the variance scalings. Tests that
compile run for the first entry of each program, and for the others with `-m slow`. The newest
Python runs them for the first entry of each family only.
"""

import dataclasses
import json
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import equal_bits
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jinit import initializers
from jinit.initializers import CATALOG, CatalogEntry, Initializer, from_spec
from jinit.initializers.catalog import ALIASES

KEY = jax.random.key(2024)
# A convolution kernel that is square and divisible enough for every entry and eight devices.
SHAPE = (3, 2, 32, 32)
ODD_SHAPES = [(), (7,), (0,), (5, 3), (4, 0), (3, 0, 4), (3, 5, 7), (2, 1, 3, 1, 5), (1,) * 6]
TRACED = "/jax/core/compile/jaxpr_trace_duration"


def is_first_of_its_program(entry: CatalogEntry) -> bool:
    """Return whether no entry before it has the same class and distribution."""

    def program(entry: CatalogEntry) -> tuple:
        return type(entry.example), getattr(entry.example, "distribution", None)

    return entry == next(other for other in CATALOG if program(other) == program(entry))


def marks(entry: CatalogEntry) -> tuple:
    """Return the marks of a test that compiles: one entry of each family runs everywhere."""
    if not is_first_of_its_program(entry):
        return (pytest.mark.slow,)
    first_of_family = next(other for other in CATALOG if other.family == entry.family)
    return () if entry == first_of_family else (pytest.mark.once,)


for_every_entry = pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
compiled_for_every_entry = pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, id=entry.name, marks=marks(entry)) for entry in CATALOG],
)


compiled_for_every_family = pytest.mark.parametrize(
    "entry",
    [
        pytest.param(entry, id=entry.name, marks=() if marks(entry) == () else (pytest.mark.slow,))
        for entry in CATALOG
    ],
)
"""For contracts that depend on the family's code more than on the entry: others are slow tests."""


def attempt(draw: Callable[[], jax.Array]) -> tuple[jax.Array | None, str]:
    """Return the draw, or None and the first line of the error."""
    try:
        return draw(), ""
    except (TypeError, ValueError) as error:
        return None, str(error).partition("\n")[0]


def ignores_its_key(initializer: Initializer) -> bool:
    """Return whether no equation of the traced computation depends on the key."""
    closed = jax.make_jaxpr(lambda key: initializer(key, SHAPE))(KEY)
    (key,) = closed.jaxpr.invars
    return all(key is not read for equation in closed.jaxpr.eqns for read in equation.invars)


@contextmanager
def record_traces() -> Iterator[list[str]]:
    """Collect the names of the functions that JAX traces inside the block."""
    names: list[str] = []

    def listen(event: str, duration: float, **options: object) -> None:
        if event == TRACED:
            names.append(str(options.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_names_are_unique_and_exported():
    names = [entry.name for entry in CATALOG]
    assert len(set(names)) == len(names)
    builders = {name for name in initializers.__all__ if name not in NOT_BUILDERS}
    assert set(names) | set(ALIASES) == builders


NOT_BUILDERS = {
    *("CATALOG", "CatalogEntry", "Initializer", "adapters", "from_spec"),
    *("HippoDiagonal", "hippo_diagonal", "lru_log_gain"),
    *("mimetic_query_key", "mimetic_value_output"),
}


@for_every_entry
def test_its_name_is_public(entry):
    assert entry.family
    assert getattr(initializers, entry.name) in (entry.build, entry.example)


@pytest.mark.few(24)
@pytest.mark.once
@for_every_entry
def test_it_is_a_value(entry):
    example = entry.example
    assert isinstance(example, Initializer)
    copies = (
        dataclasses.replace(example),
        pickle.loads(pickle.dumps(example)),
        from_spec(json.loads(json.dumps(example.to_spec(), allow_nan=False))),
    )
    for copy in copies:
        assert copy == example
        assert hash(copy) == hash(example)
        assert repr(copy) == repr(example)
        assert equal_bits(copy(KEY, SHAPE), example(KEY, SHAPE))
    with pytest.raises(dataclasses.FrozenInstanceError):
        example.dtype = "float16"


@pytest.mark.once
@for_every_entry
def test_its_printed_text_builds_it(entry):
    namespace = {name: getattr(initializers, name) for name in initializers.__all__}
    exec(f"copy = {entry.example!r}", namespace)
    assert namespace["copy"] == entry.example


@pytest.mark.few(24)
@pytest.mark.once
@for_every_entry
def test_it_is_deterministic_and_uses_its_key(entry):
    draw, other = entry.example, jax.random.key(2025)
    assert equal_bits(draw(KEY, SHAPE), draw(KEY, SHAPE))
    assert equal_bits(draw(KEY, SHAPE), draw(jax.random.key_data(KEY), SHAPE))
    assert equal_bits(draw(KEY, SHAPE), draw(other, SHAPE)) == ignores_its_key(draw)
    assert bool(jnp.isfinite(draw(KEY, SHAPE)).all())


def test_only_constant_initializers_ignore_the_key():
    names = {entry.name for entry in CATALOG if ignores_its_key(entry.example)}
    assert names == {
        *("zeros", "ones", "zeros_init", "ones_init", "constant"),
        *("identity", "idinit", "dirac", "zero_hadamard", "forget_gate_bias", "sinusoidal"),
        *("fourier", "stft"),
        *("hippo", "hippo_input", "s4d_log_decay", "s4d_frequency", "mamba_log_decay"),
    }


@pytest.mark.few(6)
@compiled_for_every_family
def test_low_precision_draws_are_rounded_from_single_precision(entry):
    draw = entry.example
    full = draw(KEY, SHAPE)
    assert full.dtype == np.float32
    for low in map(jnp.dtype, ("bfloat16", "float16")):
        assert equal_bits(draw(KEY, SHAPE, low), np.asarray(full).astype(low))
    half = dataclasses.replace(draw, dtype="float16")
    assert equal_bits(half(KEY, SHAPE), draw(KEY, SHAPE, "float16"))
    assert equal_bits(half(KEY, SHAPE, "float32"), full)


@pytest.mark.few(4)
@pytest.mark.once
@compiled_for_every_family
def test_double_precision_is_drawn_with_x64(entry):
    with jax.enable_x64(True):
        for dtype in (None, "float64"):
            values = entry.example(KEY, SHAPE, dtype)
            assert values.dtype == np.float64
            assert bool(jnp.isfinite(values).all())
        single = entry.example(KEY, SHAPE, "float32")
    assert equal_bits(single, entry.example(KEY, SHAPE))


@pytest.mark.few(4)
@pytest.mark.once
@compiled_for_every_family
def test_complex_values_are_drawn_or_refused_by_name(entry):
    """A distribution of real numbers, such as an interval, refuses a complex dtype."""
    values, refusal = attempt(lambda: entry.example(KEY, SHAPE, "complex64"))
    if values is None:
        assert "real floating-point values, got dtype complex64" in refusal
        return
    assert values.dtype == np.complex64
    assert bool(jnp.isfinite(values).all())
    assert bool((values.imag != 0).any()) or ignores_its_key(entry.example)


@pytest.mark.few(4)
@pytest.mark.once
@compiled_for_every_family
def test_any_shape_is_drawn_or_refused_by_name(entry):
    drawn_shapes, has_divisor = [], False
    for shape in ODD_SHAPES:
        draw = partial(entry.example, shape=shape)
        array, refusal = attempt(partial(draw, KEY))
        assert attempt(partial(jax.eval_shape, draw, KEY))[1] == refusal
        if array is None:
            assert str(shape) in refusal
            divides = "divide" in refusal or "broadcast" in refusal
            assert divides or re.search(r"\bax[ie]s\b", refusal) or "in <= out" in refusal
            has_divisor = has_divisor or divides
            continue
        assert (array.shape, array.dtype) == (shape, np.float32)
        assert bool(jnp.isfinite(array).all())
        drawn_shapes.append(shape)
    assert has_divisor or {(3, 5, 7), (3, 0, 4), (2, 1, 3, 1, 5)} <= set(drawn_shapes)


@for_every_entry
def test_it_is_abstractly_evaluable(entry):
    huge = (2**12, 2**13, 32, 32)
    for dtype, expected in ((None, "float32"), ("bfloat16", "bfloat16")):
        values = jax.eval_shape(lambda key, dtype=dtype: entry.example(key, huge, dtype), KEY)
        assert (values.shape, values.dtype) == (huge, expected)


@pytest.mark.few(20)
@compiled_for_every_entry
@pytest.mark.parametrize(
    ("single_dtype", "mapped_dtype"),
    [("bfloat16", "float32"), pytest.param("float32", "bfloat16", marks=pytest.mark.slow)],
)
def test_eager_jit_and_vmap_agree(entry, single_dtype, mapped_dtype):
    keys = jax.random.split(KEY, 2)
    draw = partial(entry.example, shape=SHAPE, dtype=single_dtype)
    mapped = partial(entry.example, shape=SHAPE, dtype=mapped_dtype)

    @jax.jit
    def program(keys):
        return draw(keys[0]), jax.vmap(mapped)(keys)

    single, batch = program(keys)
    assert equal_bits(single, draw(keys[0]))
    assert equal_bits(batch, np.stack([np.asarray(mapped(key)) for key in keys]))


@pytest.mark.few(20)
@compiled_for_every_entry
def test_sharded_over_eight_devices_agrees(entry):
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    sharding = NamedSharding(mesh, PartitionSpec(None, None, "data", "model"))
    values = entry.example(KEY, SHAPE, None, sharding)
    assert values.sharding.is_equivalent_to(sharding, values.ndim)
    assert len({str(shard.index) for shard in values.addressable_shards}) == 8
    assert equal_bits(values, entry.example(KEY, SHAPE))


@pytest.mark.once
@for_every_entry
def test_equal_values_are_traced_once(entry):
    count = 0

    @partial(jax.jit, static_argnums=0)
    def program(initializer, key):
        nonlocal count
        count += 1
        return initializer(key, SHAPE)

    copies = [
        entry.example,
        pickle.loads(pickle.dumps(entry.example)),
        from_spec(entry.example.to_spec()),
    ]
    for initializer in copies:
        program.trace(initializer, KEY)
    assert count == 1
    entry.example(KEY, SHAPE)
    with record_traces() as names:
        for initializer in copies:
            initializer(KEY, SHAPE)
    assert names == []


def test_the_recorder_of_traces_sees_them():
    with record_traces() as names:
        for _ in range(2):
            jax.jit(lambda x: x + 1)(1.0)
        jax.nn.initializers.he_normal()(KEY, (3, 2))
    assert len(names) >= 2


@pytest.mark.few(16)
@compiled_for_every_entry
def test_it_exports_to_every_platform(entry):
    platforms = ("cpu", "cuda", "tpu")
    program = jax.jit(lambda data: entry.example(jax.random.wrap_key_data(data), SHAPE))
    exported = jax.export.export(program, platforms=platforms)(jax.random.key_data(KEY))
    assert exported.platforms == platforms
    assert exported.out_avals[0].shape == SHAPE
    assert equal_bits(jax.jit(exported.call)(jax.random.key_data(KEY)), entry.example(KEY, SHAPE))
