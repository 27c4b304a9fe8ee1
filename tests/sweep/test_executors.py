"""Executors: the same records however lanes are computed, chosen by hand or by timing."""

import numpy as np
import pytest
from flax import linen as nn
from sweep.small import CLASSES, groups, shallow, sweep, task

import jinit
from jinit.sweep import group_training, layout_timing, memory
from jinit.sweep.executor import parse_executor
from jinit.sweep.group_run import GroupRun
from jinit.sweep.layout import BlockLayout, choose_layout
from jinit.sweep.slots import local_slots

AXES = {"init": ["he_normal"], "lr": [1e-3, 1e-2], "seeds": 5, "steps": 12, "record_every": 4}
CURVES = ("train_loss_curve", "validation_loss_curve")


class Normalized(nn.Module):
    """Convolutions, BatchNorm and dropout: state and keys in every lane."""

    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(4, (3,), kernel_init=self.kernel_init)(x[..., None])
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x.mean(1))


def build_normalized(config):
    return Normalized(config["init"])


def run(directory, build=shallow, **options):
    return sweep(build, **AXES | options).run(directory).frame()


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("build", "executor"),
    [
        (shallow, "map"),
        pytest.param(shallow, "loop", marks=SLOW),
        pytest.param(shallow, "measured", marks=SLOW),
        pytest.param(build_normalized, "loop", marks=SLOW),
        pytest.param(shallow, "vmap(3)", marks=SLOW),
        pytest.param(build_normalized, "map", marks=SLOW),
        pytest.param(build_normalized, "vmap(3)", marks=SLOW),
        pytest.param(build_normalized, "measured", marks=SLOW),
    ],
)
def test_executors_give_the_same_records(tmp_path, build, executor):
    expected = run(tmp_path / "auto", build)
    found = run(tmp_path / "other", build, executor=executor)
    if executor != "measured":
        assert set(found["executor"]) == {executor}
    for name in CURVES:
        for mine, theirs in zip(found[name], expected[name], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_lanes_stop_in_a_loop_of_python(tmp_path):
    options = {"patience": 1, "lr": [3.0], "steps": 24, "record_every": 2}
    frames = [
        run(tmp_path / executor, on=task(test=task().validation), executor=executor, **options)
        for executor in ("map", "loop")
    ]
    assert frames[0]["stopped_at"].notna().any()
    assert frames[0]["stopped_at"].equals(frames[1]["stopped_at"])
    np.testing.assert_allclose(frames[0]["test_loss"], frames[1]["test_loss"], rtol=1e-4)


@pytest.mark.slow
def test_the_fastest_layout_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(GroupRun, "time_call", lambda run, block: 1 + 9 * (not run.layout.is_loop))
    frame = run(tmp_path / "out", executor="measured")
    assert set(frame["executor"]) == {"loop"}
    monkeypatch.setattr(GroupRun, "time_call", lambda run, block: run.layout.block_lanes)
    assert set(run(tmp_path / "equal", executor="measured")["executor"]) != {"loop"}


@pytest.mark.slow
def test_long_sweeps_are_timed(tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(GroupRun, "time_call", lambda run, block: timed.append(run.layout) or 1.0)
    run(tmp_path / "short")
    assert not timed
    monkeypatch.setattr(layout_timing, "_LONG_SECONDS", 0.0)
    run(tmp_path / "long")
    assert len(set(timed)) > 2


def test_operations_of_a_step_are_counted():
    (group,) = groups(shallow, init=["he_normal"], lr=[1e-2], width=[64])
    products = 2 * 3 * 16 * (6 * 64 + 64 * 3)  # forward, and backward by kernels and inputs
    assert 0.8 * products < group.step_cost.operations < 3 * products


@pytest.mark.parametrize(
    ("executor", "error", "text"),
    [
        ("vmap(0)", ValueError, r"executor='vmap\(0\)': expected at least 1 lane"),
        ("vmaps", ValueError, "unknown executor 'vmaps'.*did you mean 'vmap'"),
        (3, TypeError, "executor: expected a string such as 'map'"),
    ],
)
def test_executors_that_cannot_work(executor, error, text):
    with pytest.raises(error, match=text):
        parse_executor(executor)


def test_blocks_are_halved_until_they_fit(tmp_path, monkeypatch):
    full = run(tmp_path / "full", executor="vmap(2)")
    (group,) = groups(shallow, init=["he_normal"], lr=[1e-2])
    assert (
        choose_layout(group, 10, 8, None, parse_executor("vmap(2)"), platform="cpu").tile_lanes == 2
    )
    monkeypatch.setattr(group_training, "slot_bytes", lambda slots: 1.0)
    frame = run(tmp_path / "out", executor="vmap(2)")
    assert (set(full["lane_width"]), set(frame["lane_width"])) == ({2}, {1})
    np.testing.assert_allclose(frame["train_loss"], full["train_loss"], rtol=1e-5)


@pytest.mark.slow
def test_blocks_are_halved_when_memory_is_exhausted(tmp_path, monkeypatch):
    original, failures = GroupRun.train, []

    def train(group_run, prepared, **options):
        if group_run.layout.tile_lanes > 1:
            next(iter(prepared))
            failures.append(group_run.layout)
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
        yield from original(group_run, prepared, **options)

    monkeypatch.setattr(GroupRun, "train", train)
    frame = run(tmp_path / "out", executor="vmap(2)")
    assert 1 <= len(failures) <= len(local_slots())
    assert len(frame) == 10
    assert frame["block"].nunique() < 10  # a block keeps its lanes, trained in parts
    assert set(frame["lane_width"]) == {1}

    def never(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")

    monkeypatch.setattr(GroupRun, "train", never)
    with pytest.raises(RuntimeError, match="RESOURCE_EXHAUSTED"):
        run(tmp_path / "never")


def test_memory_of_the_devices():
    assert 2**25 < memory.slot_bytes(local_slots()) < 2**45
    assert not memory.is_exhausted(ValueError("RESOURCE_EXHAUSTED"))


def test_layouts_are_halved():
    layout = BlockLayout(tiles=2, tile_lanes=4)
    lanes = []
    while layout is not None:
        lanes.append(layout.block_lanes)
        layout = layout.halve()
    assert lanes == [8, 4, 2, 1]
