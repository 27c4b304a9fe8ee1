"""The one answer to which scale a kernel needs, against wide random networks and known rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from scipy import special

import jinit
from jinit.gains import accepted_stds, needed
from jinit.gains.deep_variances import deep_variances, keeps_size

KEY = jax.random.key(0)
# Activations in NumPy, so that the networks below share no code with jinit.
NUMPY = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "erf": special.erf,
    "sin": np.sin,
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "gelu": lambda z: z * special.ndtr(z),
    "silu": lambda z: z * special.expit(z),
    "soft_sign": lambda z: z / (1 + np.abs(z)),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
}
JAX = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "tanh": jnp.tanh,
    "erf": jax.lax.erf,
    "sin": jnp.sin,
    "elu": jax.nn.elu,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
    "silu": jax.nn.silu,
    "soft_sign": jax.nn.soft_sign,
    "mish": jax.nn.mish,
}
POWER_LAW = {"tanh", "erf", "sin"}


def network(phi, depth, width=64, bias=True, branch=False):
    """Return the model of a plain or residual network."""

    def apply(params, x):
        for kernel, shift in params[:-1]:
            z = x @ kernel + (shift[None] if bias else 0.0)
            x = x + phi(z) if branch else phi(z)
        return x @ params[-1][0]

    kernel, shift = jax.ShapeDtypeStruct((width, width), "float32"), jnp.ones(width)
    layer = (kernel, shift) if bias else (kernel,) * 2
    return jinit.trace(apply, [layer] * depth + [(kernel,)], jnp.ones((4, width)))


@pytest.mark.few(5)
@pytest.mark.parametrize("depth", [3, 30])
@pytest.mark.parametrize("name", NUMPY)
def test_wide_random_networks_keep_signal_and_gradient(name, depth):
    """One forward and one backward pass of 600 units per layer, without jinit or JAX."""
    scale = deep_variances(JAX[name], depth, has_biases=True)
    rng, width, phi = np.random.default_rng(1), 600, NUMPY[name]
    x, layers, seconds = rng.standard_normal(width), [], []
    for layer in range(depth):
        variance = scale.first if layer == 0 else scale.weights
        kernel = rng.standard_normal((width, width)) * (variance / width) ** 0.5
        z = x @ kernel + rng.standard_normal(width) * scale.biases**0.5
        layers.append((kernel, (phi(z + 1e-5) - phi(z - 1e-5)) / 2e-5))
        seconds.append((z**2).mean())
        x = phi(z)
    gradient, sizes = rng.standard_normal(width), []
    for kernel, slope in reversed(layers):
        gradient = gradient * slope
        sizes.append((gradient**2).mean())
        gradient = gradient @ kernel.T
    limit = 4 * depth if name in POWER_LAW else 3
    assert 1 / limit < seconds[-1] / seconds[0] < limit
    assert 1 / limit < sizes[-1] / sizes[0] < limit


@pytest.mark.slow
def test_activations_without_a_stable_critical_point_say_so():
    for phi in (jax.nn.sigmoid, jax.nn.softplus, lambda z: jax.nn.relu(z) ** 2):
        assert not deep_variances(phi, 40, has_biases=True).is_stable(40)
    model = network(jax.nn.sigmoid, 6)
    scale = needed(model.leaves[0])
    assert not scale.is_stable
    assert "no stable critical point" in scale.reason
    assert scale.reason in {row.advice for row in jinit.recommend(model).rows}
    assert scale.reason in " ".join(str(jinit.recommend(model)).split())


@pytest.mark.parametrize(
    ("phi", "weights"), [(jax.nn.relu, 2.0), (jnp.tanh, 1.0), (jax.lax.erf, np.pi / 4)]
)
def test_known_critical_points(phi, weights):
    scales = [needed(leaf) for leaf in network(phi, 4).leaves if leaf.role == "kernel"]
    assert [scale.weights for scale in scales] == pytest.approx([weights] * 4 + [1.0], rel=1e-6)
    assert [scale.biases for scale in scales] == [0.0] * 5
    assert scales[1].std == pytest.approx((weights / 64) ** 0.5, rel=1e-6)
    assert {scale.criterion for scale in scales[:-1]} == {"criticality"}


def test_gelu_needs_biases_and_a_first_layer_that_begins_at_the_fixed_point():
    """q = σ_w² E[φ²] + σ_b² from the first layer on, with χ₁ = σ_w² E[φ'²] = 1."""
    model = network(JAX["gelu"], 3)
    first, second, *_ = [needed(leaf) for leaf in model.leaves if leaf.bias_path]
    q = first.weights + first.biases
    z = np.random.default_rng(0).standard_normal(1_000_000) * q**0.5
    phi = NUMPY["gelu"]
    slope = (phi(z + 1e-5) - phi(z - 1e-5)) / 2e-5
    assert second.weights * (slope**2).mean() == pytest.approx(1, abs=0.01)
    assert second.weights * (phi(z) ** 2).mean() + second.biases == pytest.approx(q, rel=0.01)
    rows = {row.path: row for row in jinit.recommend(model).rows}
    assert rows["1/1"].initializer.stddev == pytest.approx(second.biases**0.5, rel=1e-5)


def test_without_biases_gelu_changes_least():
    leaves = network(jax.nn.gelu, 3, bias=False).leaves
    scales = [needed(leaf) for leaf in leaves if leaf.role == "kernel"]
    assert {scale.criterion for scale in scales[:-1]} == {"least growth"}
    assert scales[1].biases == 0


@pytest.mark.parametrize("bias", [True, False])
def test_deep_gelu_begins_with_small_signals_at_which_it_is_nearly_linear(bias):
    """gelu'(0) = 1/2, so that χ₁ = 1 at σ_w² = 4 in the limit of small signals, without biases."""
    leaves = network(jax.nn.gelu, 50, bias=bias).leaves
    first, second, *_ = [needed(leaf) for leaf in leaves if leaf.role == "kernel"]
    assert (second.criterion, second.biases) == ("criticality", 0)
    assert second.weights == pytest.approx(4, rel=0.01)
    assert first.weights < 0.01


def test_a_layer_that_is_alone_keeps_the_second_moment():
    model = network(jax.nn.gelu, 1)
    scale = needed(model.leaves[0])
    assert scale.criterion == "second moment"
    assert scale.weights == pytest.approx(1 / 0.4251937110, rel=1e-6)
    assert needed(model.leaves[0], "criticality").criterion == "criticality"


def test_criterion_is_for_every_kernel_that_an_activation_follows():
    model = network(jnp.tanh, 5)
    rows = {row.path: row for row in jinit.recommend(model, criterion="second moment").rows}
    assert rows["3/0"].std == pytest.approx(1.5925374197 / 8, rel=1e-6)
    assert rows["5/0"].std == pytest.approx(1 / 8)
    with pytest.raises(
        ValueError, match="unknown criterion 'critical'; did you mean 'criticality'"
    ):
        jinit.recommend(model, criterion="critical")


def test_tanh_may_keep_its_second_moment_in_a_short_chain_only():
    assert keeps_size(jnp.tanh, 2.53, 4)
    assert not keeps_size(jnp.tanh, 2.53, 50)
    for depth, high in ((4, 2.5362), (50, 1.0)):
        leaf = network(jnp.tanh, depth).leaves[4]
        assert accepted_stds(leaf) == pytest.approx((1 / 8, high**0.5 / 8), rel=1e-4)


@pytest.mark.few(1)
@pytest.mark.parametrize(("phi", "depth"), [(jax.nn.gelu, 20), (jax.nn.silu, 8), (jnp.sin, 50)])
def test_diagnosis_and_audit_agree_with_the_plan(phi, depth):
    model = network(phi, depth)
    x = normals(KEY, (64, 64))
    model = jinit.trace(model.apply, model.params, x)
    params = jinit.recommend(model).init(KEY)
    assert jinit.diagnose(model, params, x).verdict == "stable"
    assert jinit.audit(model, params) == ()


def test_neither_kernels_nor_embeddings_need_nothing():
    bias = network(jnp.tanh, 2).leaves[1]
    assert bias.role == "bias"
    assert needed(bias) is None
    assert accepted_stds(bias) is None


def test_the_first_layer_of_a_slow_activation_is_judged_at_its_own_scale():
    """tanh(z / 10) needs ten times the gain of tanh; a gain of 1 does not fit its first layer."""
    leaf = network(lambda z: jnp.tanh(0.1 * z), 4).leaves[0]
    assert accepted_stds(leaf)[0] == pytest.approx(10 / 8, rel=1e-6)


def test_a_chain_whose_signal_leaves_every_range_is_answered():
    low, high = accepted_stds(network(lambda z: jax.nn.relu(z) ** 2, 40).leaves[0])
    assert 0 < low <= high


def test_relu_before_a_weighted_sum_needs_its_gain():
    """Experts: relu halves the second moment before the weights of the router add them up."""

    def apply(params, x):
        gates = jax.nn.softmax(x @ params["router"])
        inner = jax.nn.relu(jnp.einsum("bi,eio->ebo", x, params["experts"]))
        return jnp.einsum("be,ebo->bo", gates, inner) @ params["out"]

    params = {"router": jnp.ones((8, 3)), "experts": jnp.ones((3, 8, 8)), "out": jnp.ones((8, 2))}
    model = jinit.trace(apply, params, jnp.ones((4, 8)))
    assert needed(model.leaf("experts")).weights == pytest.approx(2)


@pytest.mark.parametrize(("phi", "expects"), [(jax.nn.gelu, True), (jax.nn.relu, False)])
def test_the_plan_of_a_deep_chain_says_which_inputs_it_expects(phi, expects):
    def apply(kernels, x):
        for kernel in kernels:
            x = phi(x @ kernel)
        return x @ kernels[0]

    model = jinit.trace(apply, [jnp.ones((8, 8))] * 20, jnp.ones((4, 8)))
    advice = [row.advice for row in jinit.recommend(model).rows]
    assert ("if the inputs have RMS 1" in advice[0]) == expects
    assert not any(advice[1:])
