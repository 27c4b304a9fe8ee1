"""The effect of the scale of the kernels, against theory; histograms of the signal."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals

from jinit.diagnostics import diagnose, scale_effect
from jinit.diagnostics import scale_runs as runs
from jinit.diagnostics.measuring import histograms
from jinit.model import trace

WIDTH, DEPTH = 32, 6
X = normals(0, (64, WIDTH))
W = list(normals(1, (DEPTH, WIDTH, WIDTH)) / WIDTH**0.5)
SCALES = (0.125, 1.0, 2.0, 1e8)


def chain(phi):
    def apply(params, x):
        for kernel in params["w"]:
            x = phi(x @ kernel + params["b"])
        return x

    params = {"w": W, "b": jnp.zeros((1, WIDTH))}
    return trace(apply, params, X), params


@pytest.fixture(scope="module")
def linear():
    return scale_effect(*chain(lambda x: x), X, scales=SCALES)


@pytest.mark.slow
def test_a_linear_network_follows_the_power_of_its_depth(linear):
    assert linear.layers == tuple(f"w/{number}" for number in range(DEPTH))
    depths = np.arange(1, DEPTH + 1)
    for scale, signal, gradient in zip(
        linear.scales[:3], linear.signal_std, linear.gradient_std, strict=False
    ):
        assert signal / linear.signal_std[1] == pytest.approx(scale**depths, rel=1e-4)
        assert gradient / linear.gradient_std[1] == pytest.approx(
            scale ** (DEPTH - depths), rel=1e-4
        )
    assert linear.loss[2] == pytest.approx(linear.loss[1] * 2.0**DEPTH, rel=1e-3)


def test_the_verdicts_go_from_vanishing_over_stable_to_a_loss_that_is_not_finite(linear):
    assert linear.verdicts == ("vanishing", "stable", "exploding", "overflowing")
    assert linear.stable_scales.tolist() == [1.0]
    assert linear.recommended == pytest.approx(1, abs=0.1)
    assert linear.causes[0]
    assert linear.causes[1] == ""
    assert str(linear).startswith("stable at × 1\n")
    json.dumps(linear.to_dict(), allow_nan=False)


def test_the_histograms_have_the_units_of_the_given_scale(linear):
    assert linear.histogram_range == (-4.0, 4.0)
    counts = linear.histograms
    middle = counts.shape[-1] // 2
    assert counts[1].sum(-1).tolist() == [X.size] * DEPTH
    assert (counts[0, 2:, middle - 1 : middle + 1].sum(-1) > 0.99 * X.size).all()  # all near 0
    assert (counts[2, -1, [0, -1]].sum() / X.size) > 0.8  # most beyond four times the RMS


@pytest.mark.slow
def test_chunks_give_what_one_program_gives(linear, monkeypatch):
    monkeypatch.setattr(runs, "_MAX_ENTRIES", 1)
    single = scale_effect(*chain(lambda x: x), X, scales=SCALES[:2])
    assert single.signal_std == pytest.approx(linear.signal_std[:2], rel=1e-5)
    assert single.verdicts == linear.verdicts[:2]


def test_only_kernels_are_scaled():
    model, params = chain(jnp.tanh)
    scaled = runs.multiply_kernels(model, params | {"b": jnp.ones((1, WIDTH))}, 3.0)
    assert scaled["b"].tolist() == [[1.0] * WIDTH]
    assert scaled["w"][1] == pytest.approx(3 * W[1])


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, float("inf"))])
def test_scales_are_positive(scales):
    with pytest.raises(ValueError, match="scale_effect: expected factors above 0"):
        scale_effect(*chain(jnp.tanh), X, scales=scales)


def test_a_network_without_kernels_has_no_scale():
    model = trace(lambda b, x: x + b, jnp.zeros((1, WIDTH)), X)
    with pytest.raises(ValueError, match="no kernel that is applied to a signal"):
        scale_effect(model, jnp.zeros((1, WIDTH)), X)


@pytest.mark.slow
def test_a_diagnosis_has_histograms_and_the_spectrum_if_it_is_asked_for():
    model, params = chain(jax.nn.relu)
    found = diagnose(model, params, X, jacobian=True)
    first, last = found.layers[0].histograms, found.layers[-1].histograms
    assert sum(first["preactivation"].counts) == X.size
    assert first["activation"].low == 0
    assert first["activation"].counts[0] / X.size == pytest.approx(0.55, abs=0.06)
    assert "activation" not in last
    assert found.jacobian is not None
    assert found.jacobian.singular_values[0] == pytest.approx(found.jacobian.largest)
    assert len(found.jacobian.singular_values) == WIDTH
    assert found.provenance["jax"] == jax.__version__


def test_tokens_have_no_jacobian_and_a_note_says_so():
    table, tokens = jnp.eye(8), jnp.arange(8)
    model = trace(lambda w, t: w["table"][t] @ w["k"], {"table": table, "k": table}, tokens)
    found = diagnose(model, {"table": table, "k": W[0][:8, :8]}, tokens, jacobian=True)
    assert found.jacobian is None
    assert any(note.startswith("no Jacobian spectrum: jacobian: no input") for note in found.notes)


def test_a_sample_reaches_all_units_and_examples_evenly():
    for width in (64, 192, 4096):
        indices = np.asarray(histograms._spread(width * 512))
        assert len(np.unique(indices)) > 0.99 * histograms.SAMPLE_SIZE
        units = np.bincount(indices % width * 64 // width, minlength=64)
        assert units.min() > 0.6 * units.mean()
        rows = np.bincount(indices // width // 8, minlength=64)
        assert rows.min() > 0.85 * rows.mean()
