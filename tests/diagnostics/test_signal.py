"""Signal statistics at initialization, against explicit backpropagation and theory."""

import math
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals
from flax import linen as nn
from flax import nnx
from scipy import stats

from jinit.diagnostics import signal
from jinit.hooks import as_model
from jinit.model import trace
from jinit.sweep import mlp

SIZES = (7, 6, 5, 3)
ATANH = math.atanh(0.95)


def cross_entropy(logits, targets):
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


def random_case():
    """Return parameters with biases, inputs and targets, in float64."""
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(i, o)), rng.normal(size=o)) for i, o in pairwise(SIZES)]
    return layers, rng.normal(size=(8, SIZES[0])), rng.integers(0, 3, 8)


def backpropagate(layers, inputs, targets, phi, slope):
    """Return loss, products W·a, activations and per-example gradients, by the textbook."""
    activation, products = inputs, []
    activations = []
    for kernel, bias in layers:
        products.append(activation @ kernel)
        activation = phi(products[-1] + bias)
        activations.append(activation)
    logits = products[-1] + layers[-1][1]
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    loss = -np.log(probabilities[np.arange(len(targets)), targets]).mean()
    gradient = probabilities - np.eye(logits.shape[1])[targets]
    gradients = [gradient]
    for (kernel, _), product, (_, bias) in zip(
        layers[:0:-1], products[-2::-1], layers[-2::-1], strict=True
    ):
        gradient = gradient @ kernel.T * slope(product + bias)
        gradients.append(gradient)
    return loss, products, activations[:-1], gradients[::-1]


class Linen(nn.Module):
    phi: object

    @nn.compact
    def __call__(self, x):
        for number, width in enumerate(SIZES[1:]):
            x = nn.Dense(width, name=f"layer_{number}")(x)
            x = x if number == len(SIZES) - 2 else self.phi(x)
        return x


class Nnx(nnx.Module):
    def __init__(self, phi, rngs):
        self.phi = phi
        for number, (i, o) in enumerate(pairwise(SIZES)):
            setattr(self, f"layer_{number}", nnx.Linear(i, o, rngs=rngs))

    def __call__(self, x):
        for number in range(len(SIZES) - 2):
            x = self.phi(getattr(self, f"layer_{number}")(x))
        return getattr(self, f"layer_{len(SIZES) - 2}")(x)


def pure(phi):
    def apply(params, x):
        for number in range(len(SIZES) - 1):
            layer = params[f"layer_{number}"]
            x = x @ layer["kernel"] + layer["bias"].reshape(1, -1)
            x = x if number == len(SIZES) - 2 else phi(x)
        return x

    return apply


PHIS = {
    "relu": (jax.nn.relu, lambda h: np.maximum(h, 0), lambda h: (h > 0) * 1.0),
    "tanh": (jnp.tanh, np.tanh, lambda h: 1 - np.tanh(h) ** 2),
}


@pytest.mark.parametrize(
    ("name", "framework"),
    [
        ("relu", "linen"),
        ("tanh", "nnx"),
        ("relu", "pure"),
        pytest.param("tanh", "linen", marks=pytest.mark.slow),
        pytest.param("relu", "nnx", marks=pytest.mark.slow),
        pytest.param("tanh", "pure", marks=pytest.mark.slow),
    ],
)
def test_statistics_agree_with_explicit_backpropagation(name, framework):
    phi, numpy_phi, slope = PHIS[name]
    layers, inputs, targets = random_case()
    loss, products, activations, gradients = backpropagate(
        layers, inputs, targets, numpy_phi, slope
    )
    x = jnp.asarray(inputs, jnp.float32)
    params = {
        f"layer_{n}": {"kernel": jnp.asarray(w, jnp.float32), "bias": jnp.asarray(b, jnp.float32)}
        for n, (w, b) in enumerate(layers)
    }
    if framework == "linen":
        model, params = as_model(Linen(phi), x), {"params": params}
    elif framework == "nnx":
        model = as_model(lambda rngs: Nnx(phi, rngs), x)
    else:
        model = trace(pure(phi), params, x)
    value, found = jax.jit(lambda p: signal(model, p, x, targets, loss=cross_entropy))(params)
    np.testing.assert_allclose(value, loss, rtol=1e-5)
    sums = [product + bias for product, (_, bias) in zip(products, layers, strict=True)]
    np.testing.assert_allclose(found.activation_std, [h.std() for h in sums], rtol=1e-4)
    np.testing.assert_allclose(
        found.activation_second_moment, [(h**2).mean() for h in sums], rtol=1e-4
    )
    np.testing.assert_allclose(found.gradient_std, [g.std() for g in gradients], rtol=1e-4)
    dead = [(a == 0).all(0).mean() for a in activations] + [np.nan]
    np.testing.assert_allclose(found.dead_fraction, dead)
    if name == "relu":
        assert max(dead[:-1]) > 0  # the case has a dead unit
        saturated = [0.0 for _ in activations]
    else:
        saturated = [(abs(a) > 0.95).mean() for a in activations]
        assert max(saturated) > 0  # the case has saturated entries
    np.testing.assert_allclose(found.saturated_fraction, [*saturated, np.nan])


@partial(jax.jit, static_argnums=0)
def chain_signal(phi, kernels, inputs):
    """Return the signal of a network without biases; the loss is the mean output."""

    def apply(params, x):
        *hidden, last = params
        for kernel in hidden:
            x = phi(x @ kernel)
        return x @ last

    model = trace(apply, list(kernels), inputs)
    return signal(model, list(kernels), inputs, loss=jnp.mean)[1]


@pytest.mark.parametrize("examples", [1, 3, 6])
def test_relu_units_are_born_dead_at_the_known_rate(examples):
    """A unit is dead on N orthogonal inputs with probability 2^-N; 5 standard errors, 6e-7."""
    units = 16_384
    kernel = normals(examples, (8, units))
    found = chain_signal(jax.nn.relu, [kernel, jnp.ones((units, 2))], jnp.eye(8)[:examples])
    rate = 2.0**-examples
    assert abs(found.dead_fraction[0] - rate) < 5 * math.sqrt(rate * (1 - rate) / units)
    assert np.isnan(found.dead_fraction[1])


@pytest.mark.parametrize(
    ("phi", "stretch", "q"),
    [
        (jnp.tanh, 1.0, 0.5),
        (jnp.tanh, 1.0, 9.0),
        (jax.nn.sigmoid, 2.0, 1.0),
        pytest.param(jnp.tanh, 1.0, 1.0, marks=pytest.mark.slow),
        pytest.param(jax.nn.sigmoid, 2.0, 0.5, marks=pytest.mark.slow),
        pytest.param(jax.nn.sigmoid, 2.0, 9.0, marks=pytest.mark.slow),
    ],
)
def test_wide_layers_saturate_as_gaussian_pre_activations_do(phi, stretch, q):
    """P(|tanh h| > 0.95) = 2Φ(-atanh(0.95)/√q); the logistic function is a stretched tanh."""
    kernel = math.sqrt(q / 64) * normals(0, (64, 4096))
    found = chain_signal(phi, [kernel, jnp.ones((4096, 2))], 8 * jnp.eye(64))
    share = 2 * stats.norm.cdf(-stretch * ATANH / math.sqrt(q))
    error = math.sqrt(share * (1 - share) / (64 * 4096))
    assert abs(found.saturated_fraction[0] - share) < 5 * error + 1e-6


UNBOUNDED = (jax.nn.relu, jax.nn.elu, jax.nn.gelu, jnp.abs, lambda x: x**2)
MORE_UNBOUNDED = (jax.nn.leaky_relu, jax.nn.silu, jax.nn.softplus, lambda x: x)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "phi",
    [*UNBOUNDED, *(pytest.param(phi, marks=pytest.mark.slow) for phi in MORE_UNBOUNDED)],
)
def test_an_activation_without_two_limits_never_saturates(phi):
    kernel = 100 * normals(0, (16, 64))
    found = chain_signal(phi, [kernel, jnp.ones((64, 2))], jnp.eye(16))
    assert found.saturated_fraction[0] == 0


@pytest.mark.slow
def test_every_bounded_activation_saturates():
    kernel = 1000 * normals(0, (16, 64))
    for phi in (jnp.tanh, jnp.arctan, jax.nn.hard_tanh, jax.nn.soft_sign, jax.lax.erf):
        found = chain_signal(phi, [kernel, jnp.ones((64, 2))], jnp.eye(16))
        assert found.saturated_fraction[0] > 0.9


@pytest.mark.slow
def test_vmapped_statistics_equal_those_of_single_networks():
    x, targets = normals(0, (16, 8)), jnp.arange(16) % 3
    model = as_model(mlp(8, 3, depth=3, width=6, activation="tanh"), x)
    keys = jax.random.split(jax.random.key(1), 4)

    def measure(key):
        return signal(model, model.init(key), x, targets, loss=cross_entropy)

    batched, measure_one = jax.jit(jax.vmap(measure))(keys), jax.jit(measure)
    for lane, key in enumerate(keys):
        single = measure_one(key)
        jax.tree.map(
            lambda many, one, lane=lane: np.testing.assert_allclose(many[lane], one, rtol=2e-5),
            batched,
            single,
        )


def test_low_precision_is_measured_in_float32():
    x = jnp.full((4, 300), 1.0, jnp.bfloat16)
    model = trace(lambda w, x: jnp.tanh(x @ w) @ w.T, jnp.ones((300, 3), jnp.bfloat16), x)
    found = jax.jit(lambda w: signal(model, w, x, loss=jnp.mean)[1])(
        jnp.ones((300, 3), jnp.bfloat16)
    )
    assert found.activation_second_moment.dtype == jnp.float32
    np.testing.assert_allclose(found.activation_second_moment[0], 300.0**2, rtol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("init", "factor"),
    [
        ("he_normal", 1.0),
        pytest.param("xavier_normal", 0.5, marks=pytest.mark.slow),
        pytest.param("he_uniform", 1.0, marks=pytest.mark.slow),
        pytest.param("lecun_normal", 0.5, marks=pytest.mark.slow),
    ],
)
def test_the_second_moment_of_relu_layers_over_depth(init, factor):
    """He keeps the second moment; Xavier and LeCun halve it in every square layer."""
    depth, width, seeds = 8, 64, 400
    x = normals(0, (4, width))
    model = as_model(mlp(width, 2, depth=depth, width=width, init=init), x)

    def second_moments(key):
        return signal(model, model.init(key), x, loss=jnp.mean)[1].activation_second_moment

    keys = jax.random.split(jax.random.key(1), seeds)
    moments = np.asarray(jax.jit(jax.vmap(second_moments))(keys), np.float64)[:, :depth]
    ratio = moments.mean(0) / moments[:, 0].mean() / factor ** np.arange(depth)
    # Relative standard error of a mean over seeds, from E[q_L²]/E[q_L]² = ∏ (1 + 5/n).
    error = np.sqrt(((1 + 5 / width) ** np.arange(1, depth + 1) - 1) / seeds)
    assert (abs(ratio - 1) < 5 * error).all()


def test_convolutions_and_attention_are_chain_signal():
    class Network(nn.Module):
        @nn.compact
        def __call__(self, images):
            hidden = nn.relu(nn.Conv(4, (3, 3))(images)).reshape(images.shape[0], -1, 4)
            hidden = nn.MultiHeadDotProductAttention(num_heads=2)(hidden)
            return nn.Dense(3)(hidden.mean(1))

    images = normals(0, (5, 6, 6, 2))
    model = as_model(Network(), images)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype("f4"), model.params)
    found = jax.jit(lambda params: signal(model, params, images, loss=jnp.mean)[1])(params)
    assert len(model.layer_names) == 6
    assert found.activation_std.shape == (6,)
    assert (found.activation_std > 0).all()
    # All layers but queries and keys surely have a gradient.
    assert (found.gradient_std > 0).sum() >= 4


def test_a_network_inside_a_loop_has_the_statistics_of_the_unrolled_network():
    def looped(w, x):
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, w)[0] @ w[0]

    def unrolled(w, x):
        for kernel in w:
            x = jnp.tanh(x @ kernel)
        return x @ w[0]

    weights = 0.4 * normals(0, (3, 8, 8))
    x = normals(1, (4, 8))

    def measure(apply):
        model = trace(apply, weights, x)
        return jax.jit(lambda weights: signal(model, weights, x, loss=jnp.sum))(weights)

    (loss, found), (expected_loss, expected) = measure(looped), measure(unrolled)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    for name in ("activation_std", "activation_second_moment", "gradient_std"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5)
    assert found.saturated_fraction[:2].tolist() == expected.saturated_fraction[:2].tolist()


def test_a_model_without_contractions_has_no_layers():
    w, x = jnp.ones((1, 3)), jnp.ones((4, 3))
    loss, found = signal(trace(lambda w, x: x * w, w, x), w, x, loss=jnp.mean)
    assert float(loss) == 1
    assert found.activation_std.shape == (0,)
