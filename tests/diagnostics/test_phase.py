"""Phase diagrams: against mean-field theory, direct draws, and bad inputs."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import jinit
from jinit.diagnostics.phase import depth_diagram, phase_diagram
from jinit.model import trace
from jinit.theory import fixed_point, response

KEY = jax.random.key(0)


def chain(phi, depth, width=128, bias=True):
    """A chain of layers, by their shapes alone."""

    def apply(w, x):
        for each in w:
            x = phi(x @ each["w"] + (each["b"] if bias else 0))
        return x

    shape = jax.ShapeDtypeStruct
    layer = {"w": shape((width, width), jnp.float32)}
    layer |= {"b": shape((1, width), jnp.float32)} if bias else {}
    return trace(apply, [layer] * depth, shape((16, width), jnp.float32))


def at_depth(phi, sigma_w2, sigma_b2, depth):
    """Geometric mean of χ at the variances that inputs of variance 1 come by, layer by layer."""
    q, total = sigma_w2 + sigma_b2, 1.0
    for _ in range(depth - 1):
        found = response(phi, q)
        q, total = sigma_w2 * found.second + sigma_b2, total * sigma_w2 * found.slope2
    return total ** (1 / (depth - 1))


def test_a_tanh_network_has_the_phases_of_theory():
    model, weights, biases = chain(jnp.tanh, 6), (0.6, 1.3, 3.0), (0.0, 0.3)
    found = phase_diagram(model, KEY, sigma_w=weights, sigma_b=biases, seeds=2)
    assert found.growth.shape == found.chi.shape == found.phase.shape == (3, 2)
    theory = np.array([[fixed_point(jnp.tanh, w**2, b**2).chi_1 for b in biases] for w in weights])
    assert found.theory_chi == pytest.approx(theory, rel=5e-3)
    expected = [[at_depth(jnp.tanh, w**2, b**2, 6) for b in biases] for w in weights]
    assert found.chi == pytest.approx(np.array(expected), rel=0.08)
    assert found.phase[0].tolist() == ["ordered", "ordered"]
    assert found.phase[2].tolist() == ["chaotic", "chaotic"]
    assert found.correlation[0, 1] > 0.99  # ordered, and biases that all examples share
    assert found.correlation[2, 0] < 0.15
    assert found.growth[0, 0] < -3


def test_the_fixed_point_of_relu_is_exact_and_biases_that_are_not_there_do_not_count():
    model = chain(jax.nn.relu, 3, 16, bias=False)
    found = phase_diagram(model, KEY, sigma_w=(1.0, 2**0.5, 2.0), sigma_b=(0.0, 1.0))
    assert found.theory_chi == pytest.approx(np.array([[0.5] * 2, [1] * 2, [2] * 2]), rel=1e-6)
    assert found.chi[:, 0].tolist() == found.chi[:, 1].tolist()
    # All draws are shared, so relu networks differ by powers of the scale.
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
def test_loops_embeddings_and_norms_start_as_the_module_says():
    model = jinit.linen.trace(Looped(), jax.ShapeDtypeStruct((8, 3), jnp.int32))
    tokens = jax.random.randint(KEY, (8, 3), 0, 11)
    found = phase_diagram(model, KEY, tokens, sigma_w=(1.0,), sigma_b=(0.2,))
    assert np.isfinite([found.growth, found.correlation, found.chi]).all()
    assert len(model.layers) == 4


def test_depths():
    found = depth_diagram(
        lambda depth: chain(jax.nn.relu, depth, 64), KEY, (1.0, 2**0.5, 2.0), (6,), seeds=2
    )
    assert found.depths.tolist() == [6]
    assert found.phase[:, 0].tolist() == ["ordered", "critical", "chaotic"]
    assert found.growth[0] == pytest.approx(-5 * math.log(2), abs=1.2)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["phase"] == found.phase.tolist()


def test_what_cannot_be_measured_is_unknown():
    model = trace(lambda w, x: x @ w[0] @ w[1], [jnp.ones((4, 4))] * 2, jnp.ones((3, 4)))
    found = phase_diagram(model, KEY, jnp.full((3, 4), jnp.nan), sigma_w=(1.0,), sigma_b=(0.0,))
    assert np.isnan(found.theory_chi).all()
    assert found.to_dict()["theory_chi"] == [[None]]
    assert found.to_dict()["growth"] == [[None]]


def test_bad_inputs_are_named():
    model = chain(jnp.tanh, 2, 8)
    with pytest.raises(ValueError, match=r"weights > 0, of biases ≥ 0, got -1\.0"):
        phase_diagram(model, KEY, sigma_w=(-1.0,))
    with pytest.raises(ValueError, match="got no values"):
        phase_diagram(model, KEY, sigma_b=())
    with pytest.raises(ValueError, match="at least 2 layers"):
        phase_diagram(chain(jnp.tanh, 1, 8), KEY)
    with pytest.raises(TypeError, match="depth_diagram: expected a Model"):
        depth_diagram(lambda depth: None, KEY, (1.0,), (2,))
    with pytest.raises(ValueError, match="at least one depth"):
        depth_diagram(lambda depth: model, KEY, (1.0,), ())
