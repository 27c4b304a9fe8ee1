"""What every initializer of the catalogue promises: one table, no exceptions by name.

Entries that run one program with different numbers, such as the seventeen variance scalings, take
turns: what needs compilations is run for the first of them, for the others with `-m slow`, and of
those for the first of every family by the newest Python.
"""

import dataclasses
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jinit import initializers
from jinit.initializers import CATALOG, Entry, Initializer, from_spec
from jinit.initializers.catalog import ADAPTERS, ALIASES

KEY = jax.random.key(2024)
# A convolution kernel that is square and divisible enough for every entry and eight devices.
SHAPE = (3, 2, 32, 32)
ODD_SHAPES = [
    *[(), (7,), (0,), (5, 3), (4, 0), (3, 0, 4), (3, 5, 7), (2, 1, 3, 1, 5), (1,) * 6],
]
TRACED = "/jax/core/compile/jaxpr_trace_duration"


def first_of_its_program(entry: Entry) -> bool:
    """Whether no entry before it draws by the same class and distribution, from other numbers."""

    def program(entry: Entry) -> tuple:
        return type(entry.example), getattr(entry.example, "distribution", None)

    return entry == next(other for other in CATALOG if program(other) == program(entry))


def marks(entry: Entry) -> tuple:
    """Of what takes compilations: the newest JAX compiles one entry of every family."""
    if not first_of_its_program(entry):
        return (pytest.mark.slow,)
    family = next(other for other in CATALOG if other.family == entry.family)
    return () if entry == family else (pytest.mark.once,)


for_every_entry = pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
# What takes compilations: here for one entry of every program, for the others with `-m slow`.
compiled_for_every_entry = pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, id=entry.name, marks=marks(entry)) for entry in CATALOG],
)


def same(left, right) -> bool:
    left, right = np.asarray(left), np.asarray(right)
    return (left.shape, left.dtype) == (right.shape, right.dtype) and left.tobytes() == (
        right.tobytes()
    )


def attempt(draw: Callable[[], jax.Array]) -> tuple[jax.Array | None, str]:
    """What was drawn, or why not."""
    try:
        return draw(), ""
    except (TypeError, ValueError) as error:
        return None, str(error).partition("\n")[0]


def ignores_its_key(initializer: Initializer) -> bool:
    """Read off the traced computation: no equation depends on the key."""
    closed = jax.make_jaxpr(lambda key: initializer(key, SHAPE))(KEY)
    (key,) = closed.jaxpr.invars
    return all(key is not used for equation in closed.jaxpr.eqns for used in equation.invars)


@contextmanager
def traces() -> Iterator[list[str]]:
    """Collects one item for every function JAX traces inside the block."""
    found: list[str] = []

    def listen(event: str, duration: float, **options: object) -> None:
        if event == TRACED:
            found.append(str(options.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_names_are_unique_and_exported():
    names = [entry.name for entry in CATALOG]
    assert len(set(names)) == len(names)
    builders = {name for name in initializers.__all__ if name not in NOT_BUILDERS}
    assert set(names) | set(ALIASES) == builders


NOT_BUILDERS = {
    *("CATALOG", "Entry", "Initializer", "from_spec"),
    *("HippoDiagonal", "hippo_diagonal", "lru_log_gain"),
    *("mimetic_query_key", "mimetic_value_output"),
    *("Adapter", "LowRank", *(build.__name__ for build in ADAPTERS)),
}


@for_every_entry
def test_its_name_is_the_public_one(entry):
    assert entry.family
    assert getattr(initializers, entry.name) in (entry.build, entry.example)


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
        assert same(copy(KEY, SHAPE), example(KEY, SHAPE))
    with pytest.raises(dataclasses.FrozenInstanceError):
        example.dtype = "float16"


@pytest.mark.once
@for_every_entry
def test_its_printed_text_builds_it(entry):
    namespace = {name: getattr(initializers, name) for name in initializers.__all__}
    exec(f"copy = {entry.example!r}", namespace)
    assert namespace["copy"] == entry.example


@pytest.mark.once
@for_every_entry
def test_it_is_deterministic_and_uses_its_key(entry):
    draw, other = entry.example, jax.random.key(2025)
    assert same(draw(KEY, SHAPE), draw(KEY, SHAPE))
    assert same(draw(KEY, SHAPE), draw(jax.random.key_data(KEY), SHAPE))
    assert same(draw(KEY, SHAPE), draw(other, SHAPE)) == ignores_its_key(draw)
    assert bool(jnp.isfinite(draw(KEY, SHAPE)).all())


def test_who_ignores_the_key():
    deaf = {entry.name for entry in CATALOG if ignores_its_key(entry.example)}
    assert deaf == {
        *("zeros", "ones", "zeros_init", "ones_init", "constant"),
        *("identity", "idinit", "dirac", "zero_hadamard", "forget_gate_bias", "sinusoidal"),
        *("fourier", "stft"),
        *("hippo", "hippo_input", "s4d_log_decay", "s4d_frequency", "mamba_log_decay"),
    }


@compiled_for_every_entry
def test_every_dtype_is_rounded_from_its_full_stream(entry):
    draw = entry.example
    full = draw(KEY, SHAPE)
    assert full.dtype == np.float32
    for low in map(jnp.dtype, ("bfloat16", "float16")):
        assert same(draw(KEY, SHAPE, low), np.asarray(full).astype(low))
    own = dataclasses.replace(draw, dtype="float16")
    assert same(own(KEY, SHAPE), draw(KEY, SHAPE, "float16"))
    assert same(own(KEY, SHAPE, "float32"), full)


@pytest.mark.once
@compiled_for_every_entry
def test_double_precision(entry):
    with jax.enable_x64(True):
        for dtype in (None, "float64"):
            drawn = entry.example(KEY, SHAPE, dtype)
            assert drawn.dtype == np.float64
            assert bool(jnp.isfinite(drawn).all())
        single = entry.example(KEY, SHAPE, "float32")
    assert same(single, entry.example(KEY, SHAPE))


@pytest.mark.once
@compiled_for_every_entry
def test_complex_values_are_drawn_or_refused_by_name(entry):
    """A law of the real line only (an interval, say) has no complex member: it says so."""
    drawn, refusal = attempt(lambda: entry.example(KEY, SHAPE, "complex64"))
    if drawn is None:
        assert "real floating-point values, got dtype complex64" in refusal
        return
    assert drawn.dtype == np.complex64
    assert bool(jnp.isfinite(drawn).all())
    assert bool((drawn.imag != 0).any()) or ignores_its_key(entry.example)


@pytest.mark.once
@compiled_for_every_entry
def test_any_shape_is_drawn_or_refused_by_name(entry):
    drawn, divides = [], False
    for shape in ODD_SHAPES:
        draw = partial(entry.example, shape=shape)
        array, refusal = attempt(partial(draw, KEY))
        assert attempt(partial(jax.eval_shape, draw, KEY))[1] == refusal
        if array is None:
            assert str(shape) in refusal
            parted = "divide" in refusal or "broadcast" in refusal
            assert parted or "axes" in refusal or "in <= out" in refusal
            divides = divides or parted
            continue
        assert (array.shape, array.dtype) == (shape, np.float32)
        assert bool(jnp.isfinite(array).all())
        drawn.append(shape)
    assert divides or {(3, 5, 7), (3, 0, 4), (2, 1, 3, 1, 5)} <= set(drawn)


@for_every_entry
def test_it_is_abstractly_evaluable(entry):
    huge = (2**12, 2**13, 32, 32)
    for dtype, expected in ((None, "float32"), ("bfloat16", "bfloat16")):
        drawn = jax.eval_shape(lambda key, dtype=dtype: entry.example(key, huge, dtype), KEY)
        assert (drawn.shape, drawn.dtype) == (huge, expected)


@compiled_for_every_entry
@pytest.mark.parametrize(
    ("one", "many"),
    [("bfloat16", "float32"), pytest.param("float32", "bfloat16", marks=pytest.mark.slow)],
)
def test_eager_jit_and_vmap_agree(entry, one, many):
    keys = jax.random.split(KEY, 2)
    draw, mapped = (partial(entry.example, shape=SHAPE, dtype=dtype) for dtype in (one, many))

    @jax.jit
    def program(keys):
        return draw(keys[0]), jax.vmap(mapped)(keys)

    single, lanes = program(keys)
    assert same(single, draw(keys[0]))
    assert same(lanes, np.stack([np.asarray(mapped(key)) for key in keys]))


@compiled_for_every_entry
def test_sharded_over_eight_devices_agrees(entry):
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    sharding = NamedSharding(mesh, PartitionSpec(None, None, "data", "model"))
    drawn = entry.example(KEY, SHAPE, None, sharding)
    assert drawn.sharding.is_equivalent_to(sharding, drawn.ndim)
    assert len({str(shard.index) for shard in drawn.addressable_shards}) == 8
    assert same(drawn, entry.example(KEY, SHAPE))


@pytest.mark.once
@for_every_entry
def test_equal_values_are_traced_once(entry):
    count = 0

    @partial(jax.jit, static_argnums=0)
    def program(initializer, key):
        nonlocal count
        count += 1
        return initializer(key, SHAPE)

    copies = [entry.example, pickle.loads(pickle.dumps(entry.example)),
              from_spec(entry.example.to_spec())]  # fmt: skip
    for initializer in copies:
        program.trace(initializer, KEY)
    assert count == 1
    entry.example(KEY, SHAPE)
    with traces() as found:
        for initializer in copies:
            initializer(KEY, SHAPE)
    assert found == []


def test_traces_are_seen():
    with traces() as found:
        for _ in range(2):
            jax.jit(lambda x: x + 1)(1.0)
        jax.nn.initializers.he_normal()(KEY, (3, 2))
    assert len(found) >= 2


@compiled_for_every_entry
def test_it_exports_to_every_platform(entry):
    platforms = ("cpu", "cuda", "tpu")
    program = jax.jit(lambda data: entry.example(jax.random.wrap_key_data(data), SHAPE))
    exported = jax.export.export(program, platforms=platforms)(jax.random.key_data(KEY))
    assert exported.platforms == platforms
    assert exported.out_avals[0].shape == SHAPE
    assert same(jax.jit(exported.call)(jax.random.key_data(KEY)), entry.example(KEY, SHAPE))
