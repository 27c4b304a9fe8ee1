"""Methods that look at data as values of an axis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sweep.small import pair, sweep, task

import jinit
from jinit.calibrate import lsuv
from jinit.hooks import as_model
from jinit.sweep.axis_values import record_value
from jinit.sweep.initial_states import InitialStates


@pytest.mark.slow
def test_each_seed_begins_from_what_the_method_returns(tmp_path):
    """The layers have unit variance, and the loss is that of the method applied by hand."""
    stages: list[str] = []
    done = sweep(pair, init=["he_normal", lsuv()], lr=[1e-3], steps=2).run(
        tmp_path / "out", lambda progress: stages.append(progress.stage)
    )
    assert "applying lsuv()" in stages
    frame = done.frame()
    assert frame["init"].unique().tolist() == ["he_normal", "lsuv"]
    assert (frame["init_seconds"] > 0).all()
    assert frame["group"].nunique() == 1
    inputs, targets = map(jnp.asarray, task().train)
    model = as_model(pair({"init": jinit.orthogonal()}), inputs)
    for _, row in frame[frame["init"] == "lsuv"].iterrows():
        np.testing.assert_allclose(np.square(row["activation_std"]), 1, rtol=0.01)
        params, _ = lsuv(model, model.init(jax.random.key(row["seed"])), inputs)
        logits = jax.nn.log_softmax(model.apply(params, inputs))
        loss = -float(jnp.take_along_axis(logits, targets[:, None], 1).mean())
        assert row["train_loss_curve"][0] == pytest.approx(loss, rel=1e-4)


@pytest.mark.slow
def test_layouts_that_are_timed_share_the_initial_states(tmp_path, monkeypatch):
    draws, draw = [], InitialStates._run_init

    def note(self, member, first, starts):
        draws.append(len(starts))
        return draw(self, member, first, starts)

    monkeypatch.setattr(InitialStates, "_run_init", note)
    sweep(pair, init=[lsuv()], lr=[1e-3, 1e-2], steps=8, executor="measured").run(tmp_path / "out")
    assert len(draws) == 1


def test_methods_are_named_in_files():
    values = ["autoinit", {"name": "lsuv", "target": 2.0, "init": "zeros"}]
    space = jinit.grid(init=values, lr=[0.1])
    assert [record_value(value) for value in dict(space.axes)["init"]] == [
        "autoinit",
        "lsuv(init=zeros, target=2.0)",
    ]


def test_a_wrong_option_of_a_named_method_is_named():
    with pytest.raises(ValueError, match="unknown option of lsuv 'tolerence'; did you mean"):
        jinit.grid(init=[{"name": "lsuv", "tolerence": 0.1}], lr=[0.1])


@pytest.mark.slow
def test_pre_training_uses_all_training_examples(tmp_path):
    """The first loss is that of the method applied by hand, with the key of the seed."""
    method = jinit.pretrain.rbm(epochs=1, batch_size=16, visible="gaussian")
    frame = sweep(pair, init=[method], lr=[1e-3], steps=1, seeds=1, measure_start=False).run(
        tmp_path / "out"
    ).frame()  # fmt: skip
    assert frame["init"].tolist() == ["rbm(epochs=1, batch_size=16, visible='gaussian')"]
    inputs, targets = map(jnp.asarray, task().train)
    model = as_model(pair({"init": jinit.he_normal()}), inputs)
    key = jax.random.key(0)
    method_key = jax.random.fold_in(jax.random.fold_in(key, 0x64617461), 0)
    params, _ = method(model, model.init(key), (inputs, targets), method_key)
    logits = jax.nn.log_softmax(model.apply(params, inputs))
    loss = -float(jnp.take_along_axis(logits, targets[:, None], 1).mean())
    assert frame["train_loss_curve"][0][0] == pytest.approx(loss, rel=1e-3)
