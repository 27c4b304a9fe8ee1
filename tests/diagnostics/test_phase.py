"""Phase diagrams: against mean-field theory, direct draws, and bad inputs."""

import json
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import jinit
from jinit.diagnostics import PhaseDiagram, depth_diagram, phase_diagram
from jinit.model import trace
from jinit.theory import fixed_point, layer_response

KEY = jax.random.key(0)


def chain(phi, depth, width=128, bias=True):
    """Return the model of a chain of layers, traced from shapes."""

    def apply(w, x):
        for layer in w:
            x = phi(x @ layer["w"] + (layer["b"] if bias else 0))
        return x

    shape = jax.ShapeDtypeStruct
    layer = {"w": shape((width, width), jnp.float32)}
    layer |= {"b": shape((1, width), jnp.float32)} if bias else {}
    return trace(apply, [layer] * depth, shape((16, width), jnp.float32))


def mean_chi(phi, sigma_w2, sigma_b2, depth):
    """Return the geometric mean of χ over all layers, for inputs of variance 1."""
    q, product = sigma_w2 + sigma_b2, 1.0
    for _ in range(depth - 1):
        response = layer_response(phi, q)
        q, product = sigma_w2 * response.second + sigma_b2, product * sigma_w2 * response.slope2
    return product ** (1 / (depth - 1))


def test_a_tanh_network_has_the_phases_of_theory():
    model, weights, biases = chain(jnp.tanh, 6), (0.6, 1.3, 3.0), (0.0, 0.3)
    found = phase_diagram(model, KEY, sigma_w=weights, sigma_b=biases, seeds=2)
    assert found.growth.shape == found.chi.shape == found.phase.shape == (3, 2)
    theory = np.array([[fixed_point(jnp.tanh, w**2, b**2).chi_1 for b in biases] for w in weights])
    assert found.theory_chi == pytest.approx(theory, rel=5e-3)
    expected = [[mean_chi(jnp.tanh, w**2, b**2, 6) for b in biases] for w in weights]
    assert found.chi == pytest.approx(np.array(expected), rel=0.08)
    assert found.phase[0].tolist() == ["ordered", "ordered"]
    assert found.phase[2].tolist() == ["chaotic", "chaotic"]
    assert found.correlation[0, 1] > 0.99  # ordered, with biases that all examples share
    assert found.correlation[2, 0] < 0.15
    assert found.growth[0, 0] < -3


def test_the_fixed_point_of_relu_is_exact_and_sigma_b_is_ignored_without_biases():
    model = chain(jax.nn.relu, 3, 16, bias=False)
    found = phase_diagram(model, KEY, sigma_w=(1.0, 2**0.5, 2.0), sigma_b=(0.0, 1.0))
    assert found.theory_chi == pytest.approx(np.array([[0.5] * 2, [1] * 2, [2] * 2]), rel=1e-6)
    assert found.chi[:, 0].tolist() == found.chi[:, 1].tolist()
    # All cells share their normal numbers, so relu networks differ by powers of the scale.
    assert found.chi[2, 0] / found.chi[0, 0] == pytest.approx(4, rel=1e-4)
    assert found.growth[2, 0] - found.growth[0, 0] == pytest.approx(4 * math.log(2), rel=1e-4)


class Looped(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.LayerNorm()(nn.Embed(11, 32)(tokens))
        body = nn.scan(Body, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return nn.Dense(8)(body()(x, None)[0])


class Body(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.softplus(nn.Dense(32)(x)) - 0.7, None


@pytest.mark.slow
def test_embeddings_and_norms_are_drawn_by_the_module_and_loops_are_measured():
    model = jinit.linen.trace(Looped(), jax.ShapeDtypeStruct((8, 3), jnp.int32))
    tokens = jax.random.randint(KEY, (8, 3), 0, 11)
    found = phase_diagram(model, KEY, tokens, sigma_w=(1.0,), sigma_b=(0.2,))
    assert np.isfinite([found.growth, found.correlation, found.chi]).all()
    assert len(model.layers) == 4


@pytest.mark.slow
def test_a_depth_diagram_has_the_phases_of_relu():
    found = depth_diagram(
        lambda depth: chain(jax.nn.relu, depth, 64),
        KEY,
        sigma_w=(1.0, 2**0.5, 2.0),
        depths=(6,),
        seeds=2,
    )
    assert found.depths.tolist() == [6]
    assert found.phase[:, 0].tolist() == ["ordered", "critical", "chaotic"]
    assert found.growth[0] == pytest.approx(-5 * math.log(2), abs=1.2)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["phase"] == found.phase.tolist()


def test_a_phase_diagram_is_drawn_with_its_scales_and_values(tmp_path):
    found = PhaseDiagram(
        sigma_w=np.array([0.5, 3.0]),
        sigma_b=np.array([0.0]),
        depths=np.zeros(0, int),
        growth=np.array([[-1.0], [math.nan]]),
        correlation=np.array([[0.5], [math.nan]]),
        chi=np.array([[0.25], [math.nan]]),
        theory_chi=np.array([[0.25], [math.nan]]),
        phase=np.array([["ordered"], ["unknown"]]),
    )
    figure = found.plot(tmp_path / "phase.png")
    assert (tmp_path / "phase.png").read_bytes().startswith(b"\x89PNG")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.5", "3"]
    assert [text.get_text() for text in axes.texts] == ["0.25", ""]
    assert axes.get_xlabel().startswith("σ_b")
    depths = replace(found, depths=np.array([8]), sigma_b=np.zeros(1)).plot().axes[0]
    assert depths.get_xlabel() == "depth"
    with pytest.raises(ValueError, match=r"phase\.txt: expected a name that ends in \.png"):
        found.plot(tmp_path / "phase.txt")
    assert [label.get_text() for label in depths.get_xticklabels()] == ["8"]


def test_a_cell_that_cannot_be_measured_is_unknown():
    nan = jnp.full((16, 8), jnp.nan)
    found = phase_diagram(chain(jnp.tanh, 2, 8), KEY, nan, sigma_w=(1.0,), sigma_b=(0.0,))
    assert found.phase.tolist() == [["unknown"]]
    assert found.to_dict()["growth"] == found.to_dict()["chi"] == [[None]]


def test_a_network_without_activations_has_no_theory():
    model = trace(lambda w, x: x @ w[0] @ w[1], [jnp.ones((4, 4))] * 2, jnp.ones((3, 4)))
    found = phase_diagram(model, KEY, sigma_w=(1.0,), sigma_b=(0.0,))
    assert np.isnan(found.theory_chi).all()
    assert found.to_dict()["theory_chi"] == [[None]]
    assert np.isfinite(found.chi).all()


def test_bad_inputs_are_named():
    model = chain(jnp.tanh, 2, 8)
    with pytest.raises(ValueError, match=r"weights > 0, of biases ≥ 0, got -1\.0"):
        phase_diagram(model, KEY, sigma_w=(-1.0,))
    with pytest.raises(ValueError, match="got no values"):
        phase_diagram(model, KEY, sigma_b=())
    with pytest.raises(TypeError, match="depth_diagram: expected a Model"):
        depth_diagram(lambda depth: None, KEY, sigma_w=(1.0,), depths=(2,))
    with pytest.raises(ValueError, match="at least one depth"):
        depth_diagram(lambda depth: model, KEY, sigma_w=(1.0,), depths=())
    with pytest.raises(ValueError, match="expected at least 1 seed, got 0"):
        phase_diagram(model, KEY, seeds=0)
    x = jnp.ones((16, 8))
    empty = trace(
        lambda w, x: x @ w[0] @ w[1], [jnp.ones((8, 8)), jnp.ones((8, 8)), jnp.ones(0)], x
    )
    with pytest.raises(ValueError, match=r"parameter '2' has shape \(0,\) and so no entries"):
        phase_diagram(empty, KEY)
    with pytest.raises(ValueError, match="takes 1 input, got 2; phase_diagram uses no targets"):
        phase_diagram(model, KEY, x, x)
    with pytest.raises(ValueError, match=r"at least 2 layers, between .*, got 1"):
        phase_diagram(chain(jnp.tanh, 1, 8), KEY)
