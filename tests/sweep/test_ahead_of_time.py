"""Programs of sweeps, draws and models, compiled for TPUs and exported for GPUs on any machine.

The tests of TPUs need their compiler: `pip install 'jinit[tpu]'`. They are slow, and fail without.
"""

import jax
import pytest
from ahead_of_time import draws, inspection, lanes, models, run, targets
from architectures import gpt2

from jinit.sweep.layout import BlockLayout

pytestmark = pytest.mark.slow

TOPOLOGY = "v5e:2x4"
FACTORIZATIONS = {"Qr", "Eigh", "LuDecomposition"}
"""Slow on a TPU: one after the other."""
SMALL_GPT2 = gpt2.Config(vocabulary=1024, positions=64, width=256, heads=4, layers=1)


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("mlp", 8),
        ("cnn", 8),
        pytest.param("mlp", 1, marks=pytest.mark.slow),
        pytest.param("mlp", 1024, marks=pytest.mark.slow),
        pytest.param("cnn", 256, marks=pytest.mark.slow),
        pytest.param("transformer", 8, marks=pytest.mark.slow),
    ],
)
def test_lanes_export_for_gpus_without_calls_of_libraries(name, width):
    kinds = ("training", "scoring")
    for _, call in lanes.programs(name, BlockLayout(1, width), None, kinds):
        assert run.export_call(call)["custom_calls"] == []


@pytest.mark.slow
def test_measurements_of_layers_export_for_gpus():
    for name in lanes.NETWORKS:
        ((_, call),) = lanes.programs(name, BlockLayout(1, 4), None, ("measurement",))
        run.export_call(call)


def test_orthogonal_frames_export_for_gpus_without_lapack():
    found = {name: call for name, call in draws.programs() if name.startswith("orthogonal, 64")}
    (call,) = found.values()
    assert run.export_call(call)["custom_calls"] == []
    on_cpu = call.function.trace(*call.arguments).lower(lowering_platforms=("cpu",)).as_text()
    assert any("geqrf" in name for name in inspection.custom_calls(on_cpu))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width"), [("mlp", 1), ("mlp", 8), ("mlp", 64), ("cnn", 8), ("transformer", 1)]
)
def test_lanes_compile_for_a_tpu(name, width):
    device = targets.topology_devices(TOPOLOGY)[0]
    for kind, call in lanes.programs(name, BlockLayout(1, width), device):
        row = run.compile_call(call)  # raises if it communicates or calls the host
        if kind == "training":
            assert row["reused_bytes"] > width * lanes.network(name).state_bytes
            assert row["step_cycles"] > 1000


@pytest.mark.slow
def test_tiles_and_several_recordings_compile_for_a_tpu():
    device = targets.topology_devices(TOPOLOGY)[0]
    for _, call in lanes.programs("mlp", BlockLayout(4, 8), device, ("whole training",)):
        run.compile_call(call)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_every_initializer_compiles_for_a_tpu(number):
    programs = list(draws.programs(targets.topology_devices(TOPOLOGY)[0]))
    for _, call in programs[number::8]:
        assert not FACTORIZATIONS & set(run.compile_call(call)["custom_calls"])


@pytest.mark.slow
def test_a_model_is_drawn_over_a_mesh_without_communication():
    devices = targets.topology_devices(TOPOLOGY)
    rows = {name: run.compile_call(call) for name, call in models.programs(devices, SMALL_GPT2)}
    for rules in ("own", "recommended"):
        whole, part = (rows[f"{rules}, {text}"] for text in ("one device", "8 devices"))
        assert part["output_bytes"] < 0.5 * whole["output_bytes"]


def test_faults_are_found():
    def lower(function, *shapes):
        shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
        return jax.jit(function).lower(*shapes)

    def report(x):
        jax.debug.callback(lambda _: None, x.sum())
        return 2 * x

    def add_up(x):
        mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
        spec = jax.sharding.PartitionSpec("d")
        total = jax.shard_map(
            lambda part: jax.lax.psum(part, "d"), mesh=mesh, in_specs=spec, out_specs=spec
        )
        return total(x)

    assert inspection.find_faults(lower(lambda x: 2 * x, (8,)).as_text()) == []
    assert any("callback" in each for each in inspection.find_faults(lower(report, (8,)).as_text()))
    for text in (lower(add_up, (8,)).as_text(), lower(add_up, (8,)).compile().as_text()):
        assert [each.replace("_", "-") for each in inspection.find_faults(text)] == ["all-reduce"]
    with jax.enable_x64(True):
        doubled = lower(lambda x: x.astype("float64"), (8,))
        assert inspection.find_faults(doubled.as_text()) == ["float64"]
        assert inspection.find_faults(doubled.compile().as_text()) == ["float64"]
