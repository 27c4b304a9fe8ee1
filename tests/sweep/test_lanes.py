"""Lanes do not affect each other, and a lane that diverges is data."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sweep.small import record_programs, shallow, sweep, task

from jinit.sweep import engine, group_training
from jinit.sweep.batches import Batches
from jinit.sweep.lanes import take_lane, to_host
from jinit.sweep.layout import BlockLayout

CURVES = ("train_loss_curve", "validation_loss_curve", "validation_accuracy_curve")


def assert_equal_lanes(one, other, rtol):
    assert len(one) == len(other)
    for mine, theirs in zip(one.to_dict("records"), other.to_dict("records"), strict=True):
        assert (mine["init"], mine["lr"], mine["seed"]) == (
            theirs["init"], theirs["lr"], theirs["seed"],
        )  # fmt: skip
        for name in (*CURVES, "activation_std", "gradient_std"):
            np.testing.assert_allclose(mine[name], theirs[name], rtol=rtol, atol=rtol)


def five_lanes(directory, **options):
    axes = {"init": ["he_normal"], "lr": [1e-2]}
    five = sweep(shallow, **axes, seeds=5, steps=10, record_every=10, **options)
    return five.run(directory).frame()


@pytest.mark.slow
def test_block_width_padding_and_device_count_change_nothing_that_matters(tmp_path, monkeypatch):
    """Five lanes: one by one on eight devices; in twos on one; and in turn on one."""
    monkeypatch.setattr(engine, "local_slots", lambda: tuple(jax.devices()))
    wide = five_lanes(tmp_path / "eight devices", lanes=1)
    assert set(wide["lane_width"]) == {1}
    monkeypatch.setattr(engine, "local_slots", lambda: tuple(jax.devices()[:1]))
    frame = five_lanes(tmp_path / "in twos", lanes=2)
    assert frame["block"].nunique() == 3
    assert set(frame["lane_width"]) == {2}
    assert_equal_lanes(frame, wide, rtol=1e-5)
    in_turn = BlockLayout(tiles=3, tile_lanes=2)
    monkeypatch.setattr(group_training, "fitting_layout", lambda *_: in_turn)
    frame = five_lanes(tmp_path / "in turn")
    assert frame["block"].nunique() == 1
    assert_equal_lanes(frame, wide, rtol=1e-5)


@pytest.mark.few(1)
@pytest.mark.parametrize("slots", [1, 3, 8])
def test_the_number_of_devices_changes_no_bit(tmp_path, monkeypatch, slots):
    """The same blocks on one device, and on several."""
    frames = []
    for count in (2, slots):
        devices = tuple(jax.devices()[:count])
        monkeypatch.setattr(engine, "local_slots", lambda devices=devices: devices)
        frames.append(five_lanes(tmp_path / str(len(frames)), lanes=2))
    for name in CURVES:
        for mine, theirs in zip(*(frame[name] for frame in frames), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_several_recordings_in_one_call_change_nothing(tmp_path):
    """Twelve steps are recorded after 4, 8 and 12: in one call, and in calls of four steps."""
    frames = []
    for steps_per_call in (None, 4, 3):
        one = sweep(
            shallow, init=["he_normal"], lr=[1e-2, 1e30], seeds=2, steps=14, record_every=4,
            steps_per_call=steps_per_call,
        )  # fmt: skip
        with record_programs() as programs:
            frames.append(one.run(tmp_path / str(steps_per_call)).frame())
        assert frames[-1]["step"].map(list).tolist()[0] == [0, 4, 8, 12, 14]
        assert len(programs) == (4 if steps_per_call == 3 else 3)
    whole, by_recording, short = frames
    for name in (*CURVES, "diverged_at"):
        assert str(whole[name].tolist()) == str(by_recording[name].tolist())
        for mine, theirs in zip(whole[name], short[name], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_a_lane_is_taken():
    numbers = np.arange(12).reshape(4, 3)
    keys = jax.vmap(jax.random.key)(np.arange(4))
    for place in range(4):
        np.testing.assert_array_equal(take_lane(jnp.asarray(numbers), place), numbers[place])
        assert take_lane(keys, place) == jax.random.key(place)
    assert (to_host(keys) == keys).all()


PROGRAMS_OF_SWEEPS = """
import jax, jax.numpy as jnp, sys
import jinit

def init(key, hyper):
    return jax.random.normal(key, (3,)), key

def step(state, hyper, batch, key):
    walk, inner = state
    inner, used = jax.random.split(inner)
    walk = walk + hyper["lr"] * jax.random.normal(used, (3,))
    return (walk, inner), {"loss": (walk**2).sum()}

space = jinit.grid(lr=[0.1, 0.2, 0.3, 0.4])
trial = jinit.Trial(init, step)
for name, others in {"best": {}, "all": {"save": "all"}, "loop": {"executor": "loop"}}.items():
    jinit.Sweep(None, trial, space, seeds=2, steps=4, **others).run(f"{sys.argv[1]}/{name}")
halved = jinit.halving(space, eta=2, rungs=2)
jinit.Sweep(None, trial, halved, seeds=2, steps=4).run(f"{sys.argv[1]}/halving")
"""


@pytest.mark.once
def test_no_program_of_a_sweep_communicates(tmp_path):
    """Not even those that save lanes: programs that wait for each other can wait for ever."""
    flags = f"--xla_force_host_platform_device_count=2 --xla_dump_to={tmp_path / 'dump'}"
    command = [sys.executable, "-c", PROGRAMS_OF_SWEEPS, str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "XLA_FLAGS": flags})
    programs = list((tmp_path / "dump").glob("*after_optimizations.txt"))
    assert len(programs) > 4
    words = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
    talking = [each.name for each in programs if any(map(each.read_text().__contains__, words))]
    assert not talking


def rates(directory, middle):
    """Nine lanes in one block; lanes of the middle rate share a tile with other rates."""
    one = sweep(
        shallow, init=["he_normal"], lr=[1e-2, middle, 1e-1], optimizer=optax.sgd,
        seeds=3, lanes=16, steps=20, record_every=10,
    )  # fmt: skip
    frame = one.run(directory).frame()
    return frame[frame["lr"] == middle], frame[frame["lr"] != middle]


def first_step_without_a_finite_loss(seed, lr):
    (inputs, targets), (init, apply) = task().train, shallow({"init": "he_normal"})
    order = Batches(np.array([seed]), 90, 16).example_indices(np.array([0]), 0, 20)[0]
    params = init(jax.random.key(seed))

    @jax.jit
    def step(params, x, y):
        def loss(params):
            return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y).mean()

        value, gradients = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda p, g: p - lr * g, params, gradients), value

    for count, examples in enumerate(order):
        params, loss = step(params, inputs[examples], targets[examples])
        if not np.isfinite(loss):
            return count
    raise AssertionError("did not diverge")


def test_a_diverged_lane_is_recorded_and_does_not_affect_others(tmp_path):
    lost, others = rates(tmp_path / "with", 1e12)
    _, undisturbed = rates(tmp_path / "without", 2e-2)
    assert lost["outcome"].tolist() == ["diverged"] * 3
    assert "diverged" not in set(lost["at_initialization"])
    for row in lost.to_dict("records"):
        assert row["diverged_at"] == first_step_without_a_finite_loss(int(row["seed"]), 1e12)
        assert row["diverged_at"] > 0
        assert np.isnan(row["validation_accuracy"])
        assert row["step"][-1] >= row["diverged_at"] > row["step"][-2]
        assert np.isfinite(row["train_loss_curve"][0])
    assert others["diverged_at"].isna().all()
    for name in (*CURVES, "activation_std", "gradient_std", "train_loss"):
        for mine, theirs in zip(others[name], undisturbed[name], strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_a_lane_that_diverges_before_the_first_step(tmp_path):
    one = sweep(shallow, init=["he_normal"], gain=[1.0, 1e30], lr=[1e-2], steps=1)
    frame = one.run(tmp_path / "out").frame().set_index(["gain", "seed"])
    assert frame["diverged_at"].loc[1e30].tolist() == [0, 0]
    assert frame["diverged_at"].loc[1.0].isna().all()


@pytest.mark.slow
def test_a_loss_that_turns_nan(tmp_path):
    """A loss that is NaN as soon as it is below a bound."""

    def fragile(outputs, targets):
        loss = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        return jnp.where(loss.mean() < 0.5, jnp.nan, loss)

    axes = {"init": ["he_normal"], "lr": [1e-3, 1e-1]}
    one = sweep(shallow, on=task(loss=fragile), **axes, steps=60)
    seen = []
    frame = one.run(tmp_path / "out", seen.append).frame()
    slow, fast = (frame[frame["lr"] == rate] for rate in (1e-3, 1e-1))
    assert slow["diverged_at"].isna().all()
    assert fast["diverged_at"].between(1, 60).all()
    assert seen[-1].diverged_lanes == 2
    for row in fast.to_dict("records"):
        is_before = np.array(row["step"]) < row["diverged_at"]
        assert np.isfinite(np.array(row["train_loss_curve"])[is_before]).all()
