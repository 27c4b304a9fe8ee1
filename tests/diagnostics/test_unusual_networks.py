"""Unusual networks that are healthy, and faults outside of kernels."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals
from flax import linen as nn

import jinit
from jinit import diagnose
from jinit.diagnostics import jacobian

KEY = jax.random.key(1)
X = normals(2, (32, 16))
LABELS = jnp.arange(32) % 4
HE, LECUN, ZEROS = jinit.he_normal(), jinit.lecun_normal(), jinit.zeros


def module(function):
    """A Flax module that calls a function of its inputs."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, *inputs):
            return function(*inputs)

    return Net()


def initialize(function, *inputs):
    """The Model of a function of Flax modules, and its parameters."""
    model = jinit.linen.trace(module(function), *(inputs or [X]))
    return model, jinit.init(model, KEY)


def mlp(phi=nn.relu, depth=2, outputs=4, kernel_init=HE):
    def apply(x):
        for _ in range(depth):
            x = phi(nn.Dense(32, kernel_init=kernel_init)(x))
        return nn.Dense(outputs)(x)

    return apply


def branches_that_end_in_zeros(x):
    x = nn.Dense(32)(x)
    for _ in range(2):
        inner = nn.relu(nn.Dense(64, kernel_init=HE)(nn.LayerNorm()(x)))
        x = x + nn.Dense(32, kernel_init=ZEROS)(inner)
    return nn.Dense(4)(x)


def small_branches_on_a_stem(x):
    x = nn.Dense(32)(x)
    for _ in range(4):
        x = x + 0.01 * nn.Dense(32)(nn.relu(nn.Dense(32, kernel_init=HE)(x)))
    return nn.Dense(4)(x)


def modulated_by_zeros(x):
    shift, scale, gate = jnp.split(nn.Dense(48, kernel_init=ZEROS)(nn.silu(nn.Dense(32)(x))), 3, -1)
    inner = nn.LayerNorm()(x) * (1 + scale) + shift
    return nn.Dense(4)(x + gate * nn.Dense(16)(nn.relu(nn.Dense(64, kernel_init=HE)(inner))))


def sine_network(x):
    for number in range(4):
        first = jinit.siren_first() if number == 0 else jinit.siren()
        x = jnp.sin(30 * nn.Dense(64, kernel_init=first)(x))
    return nn.Dense(4, kernel_init=jinit.siren())(x)


def low_rank_adapter(x):
    down = nn.Dense(4, use_bias=False, kernel_init=jinit.normal(0.02))(x)
    up = nn.Dense(32, use_bias=False, kernel_init=ZEROS)(down)
    return nn.Dense(4)(nn.relu(nn.Dense(32, kernel_init=HE)(x) + up))


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "function",
    [
        branches_that_end_in_zeros,
        sine_network,
        low_rank_adapter,
        *(
            pytest.param(function, marks=pytest.mark.slow)
            for function in (
                small_branches_on_a_stem,
                modulated_by_zeros,
                mlp(nn.sigmoid, 1, kernel_init=LECUN),
            )
        ),
    ],
)
def test_unusual_healthy_networks(function):
    model, params = initialize(function)
    diagnosis = diagnose(model, params, X, LABELS)
    assert diagnosis.verdict == "stable", str(diagnosis)


@pytest.mark.slow
def test_an_activation_of_its_own_scale_before_pooling():
    def images(x):
        x = x.reshape(-1, 4, 4, 1)
        for _ in range(3):
            x = jnp.tanh(10 * nn.Conv(16, (3, 3))(x))
        return nn.Dense(4)(x.mean((1, 2)))

    model, _ = initialize(images)
    assert diagnose(model, jinit.recommend(model).init(KEY), X, LABELS).verdict == "stable"


@pytest.mark.slow
def test_half_of_relu6_at_its_lower_limit_is_healthy_in_narrow_layers_too():
    model, _ = initialize(mlp(nn.relu6, 3))
    diagnosis = diagnose(model, None, X, LABELS, seeds=40)
    assert diagnosis.shares == {"stable": 1.0}
    loud = jinit.init(model, KEY, {"**/kernel": jinit.normal(8.0), "**/bias": "zeros"})
    assert diagnose(model, loud, X, LABELS).verdict == "saturated"


@pytest.mark.slow
def test_activations_without_slope_near_zero():
    model, params = initialize(mlp(lambda h: h + jax.lax.stop_gradient(jnp.sign(h) - h)))
    assert diagnose(model, params, X, LABELS).verdict == "stable"
    model, params = initialize(mlp(jnp.round, 3))
    assert diagnose(model, params, X, LABELS).verdict == "vanishing"


def test_a_recurrent_network_that_explodes_in_time():
    def apply(scale):
        def recurrent_init(key, shape, dtype=jnp.float32):
            return scale * jinit.orthogonal()(key, shape, dtype)

        cell = partial(
            nn.SimpleCell, 32, activation_fn=nn.relu, recurrent_kernel_init=recurrent_init
        )
        return lambda x: nn.Dense(4)(nn.RNN(cell())(x)[:, -1])

    x = normals(KEY, (8, 30, 16))
    diagnosis = diagnose(*initialize(apply(2.0), x), x, LABELS[:8])
    (fault,) = diagnosis.faults
    assert (fault.path, fault.verdict) == ("params/SimpleCell_0/h/kernel", "exploding")
    assert "in 23 iterations of its loop" in fault.cause
    assert fault.cure == "recurrent_kernel_init=jinit.orthogonal()"
    assert diagnose(*initialize(apply(1.0), x), x, LABELS[:8]).verdict == "stable"


@pytest.mark.slow
def test_the_source_of_nan_is_named():
    model, params = initialize(lambda x: mlp()(nn.LayerNorm()(x)))
    (fault,) = diagnose(model, params, X.at[0, 0].set(jnp.nan), LABELS).faults
    assert (fault.path, fault.source) == ("params/Dense_0/kernel", "inputs")
    assert fault.cause == "input 0: 1 of its 512 entries is NaN or infinite"
    params["params"]["LayerNorm_0"]["scale"] = jnp.full(16, jnp.nan)
    fault = diagnose(model, params, X, LABELS).faults[0]
    assert "params/LayerNorm_0/scale" in fault.cause
    assert "only='params/LayerNorm_0/scale'" in fault.cure


def test_large_biases_are_blamed():
    model, params = initialize(mlp(nn.gelu, 3, kernel_init=LECUN))
    params["params"]["Dense_1"]["bias"] += 30
    (fault,) = diagnose(model, params, X, LABELS).faults
    assert (fault.path, fault.verdict) == ("params/Dense_1/kernel", "exploding")
    assert fault.cure == "bias_init=jinit.zeros"
    assert "biases of RMS 30 outweigh" in fault.cause


@pytest.mark.slow
def test_a_normalization_is_blamed_for_dead_units():
    def apply(x):
        for shift in (0.0, -20.0):
            x = nn.Dense(32)(x)
            x = nn.relu(nn.LayerNorm(bias_init=nn.initializers.constant(shift))(x))
        return nn.Dense(4)(x)

    model, params = initialize(apply)
    fault = diagnose(model, params, X, LABELS).faults[0]
    assert (fault.path, fault.verdict) == ("params/Dense_1/kernel", "dead")
    assert fault.cure.startswith("scale_init=jinit.ones, bias_init=jinit.zeros")


def test_operations_between_layers_are_blamed_if_all_gains_are_right():
    model, params = initialize(
        lambda x: mlp(depth=1)(jax.lax.stop_gradient(mlp(depth=1, outputs=32)(x)))
    )
    fault = diagnose(model, params, X, LABELS).faults[0]
    assert (fault.path, fault.verdict) == ("params/Dense_1/kernel", "vanishing")
    assert fault.cause.startswith("stop_gradient, between params/Dense_1/kernel and params/Dense_2")
    assert fault.cure.startswith("leave out stop_gradient")


def test_a_head_that_is_far_too_large_is_named():
    def apply(x):
        x = nn.relu(nn.Dense(32, kernel_init=HE)(x))
        return jnp.tanh(nn.Dense(4, kernel_init=jinit.normal(50.0))(x))

    (fault,) = diagnose(*initialize(apply), X, jnp.ones((32, 4))).faults
    assert (fault.path, fault.cure) == ("params/Dense_1/kernel", "kernel_init=jinit.lecun_normal()")


@pytest.mark.slow
def test_only_trained_parameters_are_updated():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.BatchNorm(use_running_average=True)(nn.Dense(32)(x))
            return nn.Dense(4)(x)

    model = jinit.linen.trace(Net(), X)
    variables = jinit.init(model, KEY)
    variables["batch_stats"] = jax.tree.map(lambda leaf: 0.05 * leaf, variables["batch_stats"])
    optimizer = optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(1.0))
    diagnosis = diagnose(model, variables, X, LABELS, optimizer=optimizer)

    def loss(params):
        logits = Net().apply(variables | {"params": params}, X)
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    params = variables["params"]
    gradients = jax.jit(jax.grad(loss))(params)
    updates, _ = jax.jit(optimizer.update)(gradients, optimizer.init(params))
    for layer, name in zip(diagnosis.layers, ("Dense_0", "Dense_1"), strict=True):
        rms = [np.sqrt(np.mean(tree[name]["kernel"] ** 2)) for tree in (updates, params)]
        np.testing.assert_allclose(layer.statistics["update_ratio"], rms[0] / rms[1], rtol=1e-4)


@pytest.mark.slow
def test_the_jacobian_of_an_activation_with_a_custom_derivative():
    @jax.custom_vjp
    def custom_relu(x):
        return nn.relu(x)

    custom_relu.defvjp(
        lambda x: (nn.relu(x), x > 0), lambda positive, gradient: (gradient * positive,)
    )
    results = [jacobian(*initialize(mlp(phi)), X) for phi in (custom_relu, nn.relu)]
    np.testing.assert_allclose(results[0].largest, results[1].largest, rtol=1e-5)
    np.testing.assert_allclose(results[0].mean_square, results[1].mean_square, rtol=1e-5)
