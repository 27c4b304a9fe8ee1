"""Trained parameters of the best run, and of chosen ones, read back."""

import jax
import numpy as np
import pytest
from sweep.small import pair, shallow, sweep, task

import jinit
from jinit.sweep import cross_entropy

AXES = {"init": ["he_normal", "zeros"], "lr": [1e-3, 3e-2]}


def validation_loss(params, build=shallow):
    inputs, targets = task().validation
    return float(cross_entropy(build({})[1](params, inputs), targets).mean())


def test_the_best_run(tmp_path):
    results = sweep(shallow, **AXES).run(tmp_path / "out")
    frame = results.frame()
    best = frame.loc[frame["validation_accuracy"].idxmax()]
    for params in (results.params(), jinit.Results(tmp_path / "out").params(best)):
        assert validation_loss(params) == pytest.approx(best["validation_loss"], rel=1e-5)
    like = jax.eval_shape(shallow({})[0], jax.random.key(0))
    assert jax.tree.structure(results.params(like=like)) == jax.tree.structure(like)
    with pytest.raises(ValueError, match=r"has the parameters of the best run only: .*save='all'"):
        results.params(frame.loc[frame["validation_accuracy"].idxmin()])


def test_all_runs(tmp_path):
    results = sweep(pair, **AXES, save="all", lanes=3, steps=4).run(tmp_path / "out")
    for row in results.frame().to_dict("records"):
        params = results.params(row)
        assert validation_loss(params, pair) == pytest.approx(row["validation_loss"], rel=1e-5)
    with pytest.raises(ValueError, match="has the parameters of 8 runs: give the row of one"):
        results.params()


def test_no_run(tmp_path):
    results = sweep(shallow, **AXES, save="none", steps=2).run(tmp_path / "out")
    with pytest.raises(ValueError, match="has no saved parameters"):
        results.params()
    assert not (tmp_path / "out" / "params").exists()


def test_a_diverged_run_is_not_the_best(tmp_path):
    axes = {"init": ["he_normal"], "lr": [1e30, 1e-2]}
    results = sweep(shallow, **axes).run(tmp_path / "out")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(results.params()))


def test_a_wrong_choice():
    with pytest.raises(ValueError, match=r"unknown save 'bests'.*did you mean 'best'"):
        sweep(shallow, **AXES, save="bests")
