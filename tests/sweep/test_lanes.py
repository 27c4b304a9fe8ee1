"""Lanes do not affect each other, and a lane that diverges is data."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from sweep.small import shallow, sweep, task

from jinit.sweep import engine, group_training
from jinit.sweep.batches import Batches
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


def test_block_width_padding_and_device_count_change_nothing_that_matters(tmp_path, monkeypatch):
    """Five lanes: on eight devices, three of them idle; in twos on one; and in turn on one."""
    wide = five_lanes(tmp_path / "eight devices")
    assert set(wide["lane_width"]) == {1}
    monkeypatch.setattr(engine, "local_mesh", lambda: Mesh(np.array(jax.devices()[:1]), ("lane",)))
    frame = five_lanes(tmp_path / "in twos", lanes=2)
    assert frame["block"].nunique() == 3
    assert set(frame["lane_width"]) == {2}
    assert_equal_lanes(frame, wide, rtol=1e-5)
    in_turn = BlockLayout(devices=1, device_tiles=3, tile_lanes=2)
    monkeypatch.setattr(group_training, "fitting_layout", lambda *_: in_turn)
    frame = five_lanes(tmp_path / "in turn")
    assert frame["block"].nunique() == 1
    assert_equal_lanes(frame, wide, rtol=1e-5)


def rates(directory, middle):
    """Nine lanes, two per device; lanes of the middle rate share devices with other rates."""
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


def test_a_lane_that_diverges_before_the_first_step(tmp_path):
    one = sweep(shallow, init=["he_normal"], gain=[1.0, 1e30], lr=[1e-2], steps=1)
    frame = one.run(tmp_path / "out").frame().set_index(["gain", "seed"])
    assert frame["diverged_at"].loc[1e30].tolist() == [0, 0]
    assert frame["diverged_at"].loc[1.0].isna().all()


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
