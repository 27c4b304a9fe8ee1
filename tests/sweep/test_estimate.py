"""The cost of a sweep before it runs: what is counted is exact, and nothing is written."""

import pytest
from sweep.small import pair, shallow, sweep, task

import jinit


def test_what_is_counted(tmp_path):
    one = sweep(pair, init=["he_normal", "zeros"], activation=["relu", "tanh"], lr=[1e-3, 1e-2])
    cost = one.estimate()
    assert (cost.lanes, cost.lane_steps, cost.programs) == (16, 320, 2)
    assert cost.lane_bytes > 3 * 4 * (6 * 8 + 8 * 8 + 8 * 3)  # parameters and two moments
    assert cost.training_seconds > 0
    assert cost.program_seconds > 0
    assert "16 runs of 320 steps in all, 2 training programs; about" in str(cost)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_race_costs_less():
    space = jinit.grid(init=["he_normal"], lr=[0.01 * (1 + i) for i in range(9)])
    options = {"seeds": 2, "steps": 90, "record_every": 10}
    full, race = (
        jinit.Sweep(task(), shallow, each, **options).estimate()
        for each in (space, jinit.halving(space))
    )
    assert (full.lane_steps, race.lane_steps) == (9 * 2 * 90, 2 * (9 * 10 + 3 * 20 + 1 * 60))


def test_a_trial_without_data():
    trial = jinit.Trial(
        lambda key, hyper: hyper["lr"],
        lambda state, hyper, batch, key: (state * 0.9, {"loss": state}),
    )
    cost = jinit.Sweep(None, trial, jinit.grid(lr=[0.1, 0.2]), seeds=3, steps=5).estimate()
    assert (cost.lanes, cost.programs) == (6, 1)
