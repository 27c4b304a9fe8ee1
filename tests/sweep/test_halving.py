"""Successive halving: who goes on, with which state, and what is recorded of the others."""

import numpy as np
import pytest
from sweep.small import pair, record_programs, shallow, task

import jinit

LRS = list(np.geomspace(1e-4, 1.0, 9))
OPTIONS = {"seeds": 3, "steps": 36, "record_every": 2}


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    directory = tmp_path_factory.mktemp("halving")
    space = jinit.grid(init=["he_normal"], lr=LRS)
    full = jinit.Sweep(task(), shallow, space, **OPTIONS, lanes=8).run(directory / "full").frame()
    search = jinit.Sweep(task(), shallow, jinit.halving(space), **OPTIONS, lanes=8)
    with record_programs() as programs:
        seen = []
        found = search.run(directory / "halving", seen.append).frame()
    return full, found, programs, seen


def test_the_best_configurations_go_on(frames):
    full, found, _, _ = frames
    assert len(found) == len(full) == 27
    last = found["step"].map(lambda steps: steps[-1])
    assert sorted(last.value_counts().items()) == [(4, 18), (12, 6), (36, 3)]
    assert (found["stopped_at"].isna() == (last == 36)).all()
    at = full.assign(value=full["validation_loss_curve"].map(lambda curve: curve[2]))
    best = at.groupby("lr")["value"].mean().nsmallest(3).index
    assert set(found[last > 4]["lr"]) == set(best)
    at = full.assign(value=full["validation_loss_curve"].map(lambda curve: curve[6]))
    winner = at[at["lr"].isin(best)].groupby("lr")["value"].mean().idxmin()
    assert set(found[last == 36]["lr"]) == {winner}


def test_lanes_go_on_where_they_stopped(frames):
    full, found, _, _ = frames
    for name in ("train_loss_curve", "validation_loss_curve"):
        for mine, theirs in zip(found[name], full[name], strict=True):
            np.testing.assert_allclose(mine, theirs[: len(mine)], rtol=1e-5)


def test_rungs_compile_nothing(frames):
    _, _, programs, seen = frames
    assert len(programs) == 2  # one that trains, one that scores before the first step
    assert (seen[-1].lane_steps, seen[-1].total_lane_steps) == (27 * 4 + 9 * 8 + 3 * 24,) * 2


@pytest.mark.slow
def test_programs_race_together(tmp_path):
    space = jinit.grid(init=["he_normal"], activation=["relu", "tanh"], lr=[1e-3, 1e-1])
    search = jinit.Sweep(
        task(), pair, jinit.halving(space, eta=2, rungs=2), seeds=2, steps=20, record_every=5
    )
    frame = search.run(tmp_path / "out").frame()
    last = frame["step"].map(lambda steps: steps[-1])
    assert len(frame[last == 20].groupby(["activation", "lr"])) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"eta": 1}, "halving: eta=1, expected at least 2"),
        ({"rungs": 4}, "9 configurations cannot be divided by 3 3 times"),
        ({"rungs": 1.5}, "rungs: expected an integer of at least 1, got 1.5"),
    ],
)
def test_races_that_cannot_work(options, text):
    with pytest.raises(ValueError, match=text):
        jinit.halving(jinit.grid(lr=LRS), **options)


def test_rungs_that_do_not_fit():
    space = jinit.grid(init=["he_normal"], lr=LRS)
    with pytest.raises(ValueError, match="3 rungs at a factor of 3 do not fit"):
        jinit.Sweep(task(), shallow, jinit.halving(space), steps=4, record_every=2)
    with pytest.raises(TypeError, match=r"expected a space such as .* got dict"):
        jinit.halving({"lr": LRS})
